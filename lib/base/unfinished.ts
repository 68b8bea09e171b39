/** What is under way for a connection outside of its handlers, and what waits for it. */
interface Work {
  count: number
  waiting: (() => void)[]
}

const unfinished = new WeakMap<object, Work>()

/**
 * @internal Something is under way for this connection, such as a task of a `WorkerPool`, whose result may be written to it: an
 * end that nobody asked for is to wait. What it answers with says, once, that it is over.
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
    // Whoever waits for the result is to have had it, and to have written or begun something else. (All promise jobs run before.)
    setImmediate(() => endWork(conn))
  }
}

/** @internal Runs this when nothing is under way for the connection: immediately, as a rule. */
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
