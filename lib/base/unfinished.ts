/** The work that is in progress for a connection outside of its handlers, and the callbacks that wait for it. */
interface Work {
  count: number
  waiting: (() => void)[]
}

const unfinished = new WeakMap<object, Work>()

/**
 * @internal Notes that work is in progress for this connection, such as a task of a `WorkerPool`, whose result may be
 * written to it: an automatic end must wait. Returns a function that reports, once, that the work has ended.
 */
export function beginWork(conn: object): () => void {
  let work = unfinished.get(conn)
  if (work === undefined) {
    work = { count: 0, waiting: [] }
    unfinished.set(conn, work)
  }
  work.count++
  let over = false
  return () => {
    if (over) return
    over = true
    // The code that awaits the result must have run, and have written or begun something else. (All promise jobs run
    // before.)
    setImmediate(() => endWork(conn))
  }
}

/** @internal Calls `run` when no work is in progress for the connection: usually immediately. */
export function whenFinished(conn: object, run: () => void): void {
  const work = unfinished.get(conn)
  if (work === undefined) run()
  else work.waiting.push(run)
}

function endWork(conn: object): void {
  const work = unfinished.get(conn)
  if (work === undefined || --work.count > 0) return
  unfinished.delete(conn)
  for (const run of work.waiting) run()
}
