import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { ResourceLimits, Transferable } from 'node:worker_threads'
import type { Piscina as PiscinaPool } from 'piscina'
import { onAbort } from '../abort.js'
import { onClosed } from '../close-hooks.js'
import { Connection, holdReading } from '../connection.js'
import { C1mError, invalidType, invalidValue } from '../errors.js'
import { checkBoolean, checkInteger, checkKeys, checkObject, checkSignal, keysOf } from '../validate.js'
import { poolClosed } from './messages.js'
import { checkModule } from './module-url.js'
import type { ConnectionHandle } from './remote-connection.js'
import { TaskQueue } from './task-queue.js'

/** Options of a `WorkerPool`. */
export interface WorkerPoolOptions {
  /**
   * The module whose default export is called for each task: `(task, { connection }) => result`, or a promise of it. An
   * absolute path or a `file:` URL.
   */
  filename: string | URL
  /** Worker threads. 1 to 1024. Default: one for each CPU that this process may use. */
  size?: number
  /** Tasks that may wait. From three quarters of it on, connections that bring more are not read. 1 to 2^24. Default: 1,000,000. */
  maxQueue?: number
  /**
   * A connection's share: with so many of its tasks unfinished it isn't read, until half of them are done. 1 to 2^24.
   * Default: 1024.
   */
  maxTasksPerConnection?: number
  /** Of each worker, as for `new Worker()`. One that runs out of memory fails its task, and is replaced. */
  resourceLimits?: ResourceLimits
}

/** Options of `pool.run()`. */
export interface RunOptions<T = unknown> {
  /** Whom it is for: its `close` gives the task up while it waits, and it isn't read while too many of its tasks are there. */
  connection?: Connection<T> | undefined
  /** Gives the task up: one that waits at once; one that runs by ending its worker, which is replaced. */
  signal?: AbortSignal | undefined
  /** Objects in `task` to be moved to the worker, and not copied. */
  transfer?: readonly Transferable[] | undefined
  /** It settles after all earlier tasks of its connection that were ordered as well. Default: `false`. */
  ordered?: boolean | undefined
}

/** Milliseconds. */
export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** `pool.stats()`: counters since its start, except where they say "now". */
export interface WorkerPoolStats {
  /** Tasks that wait now, and those that run. */
  readonly queued: number
  readonly running: number
  /** Tasks that had a result; that failed; and that were given up, by a signal, a `close`, or the end of the pool. */
  readonly completed: number
  readonly failed: number
  readonly cancelled: number
  /** Connections that aren't read now, because of their own share or of the queue. */
  readonly heldConnections: number
  /** From `run()` until a worker had it; and from then until its end. */
  readonly waitMs: Percentiles
  readonly runMs: Percentiles
}

/** Of one connection. */
interface Share {
  tasks: number
  held: boolean
  readonly waiting: Set<Task>
  /** The last of those that settle in order. */
  last: Promise<unknown> | undefined
  forget: () => void
}

interface Task {
  readonly value: unknown
  readonly conn: Connection<never> | undefined
  readonly signal: AbortSignal | undefined
  readonly transfer: readonly Transferable[] | undefined
  readonly since: number
  cancelled: boolean
  forgetSignal: (() => void) | undefined
  resolve(result: unknown): void
  reject(error: unknown): void
}

const poolOptionKeys = keysOf<WorkerPoolOptions>({
  filename: true,
  size: true,
  maxQueue: true,
  maxTasksPerConnection: true,
  resourceLimits: true,
})
const runOptionKeys = keysOf<RunOptions>({ connection: true, signal: true, transfer: true, ordered: true })

/**
 * Runs tasks that take CPU time on worker threads, so that the thread of the handlers stays free; by `piscina`. It knows
 * whom a task is for: tasks of connections that have closed are not run, and who brings more than the workers can do is not
 * read meanwhile.
 *
 * It keeps the process alive while tasks are there.
 *
 * @example
 * const pool = new WorkerPool({ filename: new URL('./resize.mjs', import.meta.url) })
 * await reactor.listen({ port: 7000, framing: lengthPrefixed({ bytes: 4 }) }, {
 *   async data(conn, image) {
 *     conn.write(await pool.run(image, { connection: conn, ordered: true }))
 *   },
 * })
 */
export class WorkerPool {
  /** How many workers there are. */
  readonly size: number
  readonly #maxQueue: number
  readonly #share: number
  readonly #pool: PiscinaPool
  readonly #queue = new TaskQueue<Task>()
  readonly #shares = new Map<Connection<never>, Share>()
  readonly #wait = createHistogram()
  readonly #run = createHistogram()
  readonly #counts = { completed: 0, failed: 0, cancelled: 0 }
  #running = 0
  #held = 0
  /** It was three quarters full, and isn't half empty again. */
  #filling = false
  #closing: Promise<void> | undefined
  #onIdle: (() => void) | undefined

  /**
   * Starts the workers. Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE) or RangeError
   * (ERR_C1M_OUT_OF_RANGE) for bad options. A module that can't be loaded fails each task with its error.
   */
  constructor(options: WorkerPoolOptions) {
    if (options === undefined) throw invalidType('options', 'an object', options)
    const given = checkObject('options', options)
    checkKeys('options', given, poolOptionKeys)
    const { size = availableParallelism(), maxQueue = 1_000_000, maxTasksPerConnection = 1024, resourceLimits } = given
    this.size = checkInteger('size', size, 1, 1024)
    this.#maxQueue = checkInteger('maxQueue', maxQueue, 1, 2 ** 24)
    this.#share = checkInteger('maxTasksPerConnection', maxTasksPerConnection, 1, 2 ** 24)
    const filename = checkModule('filename', given.filename)
    // Loaded when it is needed: it takes a fifth of the time that c1m takes to load.
    const { Piscina } = require('piscina') as typeof import('piscina')
    this.#pool = new Piscina({
      filename: join(__dirname, 'task-worker.js'),
      minThreads: this.size,
      maxThreads: this.size,
      recordTiming: false,
      workerData: { filename },
      ...(resourceLimits !== undefined && { resourceLimits }),
    })
    // A worker that ends without a task is replaced; one with a task fails it, and says so there.
    this.#pool.on('error', () => {})
  }

  /**
   * Runs a task: the module's function is called with a clone of it, and with `{ connection }`, a `RemoteConnection` to be
   * answered directly, if there was one. Resolves with a clone of its result, rejects with a clone of its error.
   *
   * Rejects also with ERR_C1M_TASK_QUEUE_FULL when `maxQueue` tasks wait; with ERR_C1M_CONNECTION_CLOSED if its connection
   * closes before a worker has it; with the signal's reason; with ERR_C1M_POOL_CLOSED after `close()`; with an error of
   * `worker_threads` if its worker exits or runs out of memory; and with a TypeError (ERR_C1M_INVALID_ARG_TYPE,
   * ERR_C1M_INVALID_ARG_VALUE) for bad options.
   */
  async run<R = unknown, T = unknown>(task: unknown, options?: RunOptions<T>): Promise<R> {
    const given = checkObject('options', options)
    checkKeys('options', given, runOptionKeys)
    const { connection, signal, transfer, ordered = false } = given
    if (connection !== undefined && !(connection instanceof Connection)) {
      throw invalidType('connection', 'a Connection', connection)
    }
    if (transfer !== undefined && !Array.isArray(transfer)) throw invalidType('transfer', 'an array', transfer)
    checkSignal(signal)
    checkBoolean('ordered', ordered)
    if (ordered && connection === undefined) throw invalidValue('"ordered" is among the tasks of a "connection"')
    if (this.#closing !== undefined) throw poolClosed()
    signal?.throwIfAborted()
    const conn = connection as Connection<never> | undefined
    if (conn?.closed) throw connectionClosed()
    if (this.#queue.length >= this.#maxQueue) {
      throw new C1mError('ERR_C1M_TASK_QUEUE_FULL', `${this.#maxQueue} tasks wait already`)
    }
    const { promise, resolve, reject } = withResolvers<R>()
    const now = performance.now()
    this.#submit({
      value: task,
      conn,
      signal,
      transfer,
      since: now,
      cancelled: false,
      forgetSignal: undefined,
      resolve: resolve as (result: unknown) => void,
      reject,
    })
    return ordered && conn !== undefined ? this.#inOrder(conn, promise) : promise
  }

  /** Counters, cheap enough for any scrape interval. */
  stats(): WorkerPoolStats {
    return {
      queued: this.#queue.length,
      running: this.#running,
      ...this.#counts,
      heldConnections: this.#held,
      waitMs: percentiles(this.#wait),
      runMs: percentiles(this.#run),
    }
  }

  /**
   * Takes no more tasks, waits for those there are, and ends the workers. With `{ force: true }` those that wait are given
   * up, with ERR_C1M_POOL_CLOSED, and those that run fail. Called again, it answers the same promise.
   */
  close(options?: { force?: boolean }): Promise<void> {
    const { force = false } = checkObject('options', options)
    checkBoolean('force', force)
    if (force) for (let task = this.#queue.shift(); task !== undefined; task = this.#queue.shift()) this.#drop(task)
    this.#closing ??= this.#close(force)
    if (force) void this.#pool.destroy()
    return this.#closing
  }

  async #close(force: boolean): Promise<void> {
    if (!force && this.#running + this.#queue.length > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    await this.#pool.destroy()
  }

  #drop(task: Task): void {
    task.cancelled = true
    this.#settled(task, 'cancelled')
    task.reject(poolClosed())
  }

  #submit(task: Task): void {
    if (task.conn !== undefined) this.#shareOf(task.conn).waiting.add(task)
    if (task.signal !== undefined) {
      task.forgetSignal = onAbort(task.signal, () => this.#cancel(task, task.signal?.reason))
    }
    this.#queue.push(task)
    if (this.#running < this.size) this.#next()
    if (task.conn !== undefined) this.#holdIfFull(task.conn)
  }

  /** Only one that waits: a worker that has it isn't asked. */
  #cancel(task: Task, reason: unknown): void {
    if (task.cancelled) return
    task.cancelled = true
    this.#queue.cancelled()
    this.#settled(task, 'cancelled')
    task.reject(reason)
  }

  #next(): void {
    const task = this.#queue.shift()
    if (task === undefined) return
    this.#running++
    task.forgetSignal?.()
    if (task.conn !== undefined) this.#shares.get(task.conn)?.waiting.delete(task)
    const began = performance.now()
    record(this.#wait, began - task.since)
    this.#pool
      .run(
        { task: task.value, connection: task.conn && handleOf(task.conn) },
        {
          ...(task.signal !== undefined && { signal: task.signal }),
          ...(task.transfer !== undefined && { transferList: task.transfer as never }),
        },
      )
      .then(
        (result) => this.#done(task, began, 'completed', () => task.resolve(result)),
        (error) => {
          const aborted = task.signal?.aborted === true
          this.#done(task, began, aborted ? 'cancelled' : 'failed', () =>
            task.reject(aborted ? task.signal?.reason : error),
          )
        },
      )
  }

  #done(task: Task, began: number, how: 'completed' | 'failed' | 'cancelled', tell: () => void): void {
    record(this.#run, performance.now() - began)
    this.#running--
    // The worker is busy again before anybody hears of this.
    this.#next()
    this.#settled(task, how)
    tell()
  }

  #settled(task: Task, how: 'completed' | 'failed' | 'cancelled'): void {
    this.#counts[how]++
    task.forgetSignal?.()
    if (task.conn !== undefined) this.#release(task, task.conn)
    if (this.#filling && this.#queue.length <= this.#maxQueue / 2) this.#letGo()
    if (this.#running + this.#queue.length === 0) this.#onIdle?.()
  }

  #shareOf(conn: Connection<never>): Share {
    let share = this.#shares.get(conn)
    if (share === undefined) {
      share = { tasks: 0, held: false, waiting: new Set(), last: undefined, forget: () => {} }
      share.forget = onClosed(conn, () => this.#connectionClosed(conn))
      this.#shares.set(conn, share)
    }
    share.tasks++
    return share
  }

  #release(task: Task, conn: Connection<never>): void {
    const share = this.#shares.get(conn)
    if (share === undefined) return
    share.waiting.delete(task)
    share.tasks--
    if (share.held && !this.#filling && share.tasks <= this.#share / 2) this.#resume(conn, share)
    this.#forgetIdle(conn, share)
  }

  /** One that is held is remembered, to be let go. */
  #forgetIdle(conn: Connection<never>, share: Share): void {
    if (share.tasks > 0 || share.held) return
    share.forget()
    this.#shares.delete(conn)
  }

  #connectionClosed(conn: Connection<never>): void {
    const share = this.#shares.get(conn)
    if (share === undefined) return
    if (share.held) this.#held--
    share.held = false
    for (const task of [...share.waiting]) this.#cancel(task, connectionClosed())
    this.#forgetIdle(conn, share)
  }

  #holdIfFull(conn: Connection<never>): void {
    if (this.#queue.length >= this.#maxQueue * 0.75) this.#filling = true
    const share = this.#shares.get(conn)
    if (share === undefined || share.held) return
    if (share.tasks < this.#share && !this.#filling) return
    share.held = true
    this.#held++
    holdReading(conn, true)
  }

  #resume(conn: Connection<never>, share: Share): void {
    share.held = false
    this.#held--
    holdReading(conn, false)
  }

  /** The queue has room again. */
  #letGo(): void {
    this.#filling = false
    for (const [conn, share] of this.#shares) {
      if (!share.held || share.tasks > this.#share / 2) continue
      this.#resume(conn, share)
      this.#forgetIdle(conn, share)
    }
  }

  #inOrder<R>(conn: Connection<never>, own: Promise<R>): Promise<R> {
    const share = this.#shares.get(conn) as Share
    const before = share.last ?? Promise.resolve()
    const result = before.then(() => own)
    // Whoever comes after it waits for it, whatever it comes to.
    share.last = result.catch(() => {})
    own.catch(() => {})
    return result
  }
}

function handleOf(conn: Connection<never>): ConnectionHandle | undefined {
  const { here: place } = conn
  if (place === undefined) return undefined
  const { io, slot, generation } = place
  return { loop: io.native.loopNumber(), slot, generation, maxWriteQueue: io.maxWriteQueueOf(slot) }
}

function record(histogram: RecordableHistogram, ms: number): void {
  histogram.record(Math.max(1, Math.round(ms * 1000)))
}

/** Of microseconds. */
function percentiles(histogram: RecordableHistogram): Percentiles {
  const at = (percent: number) => (histogram.count === 0 ? 0 : histogram.percentile(percent) / 1000)
  return { p50: at(50), p90: at(90), p99: at(99), max: histogram.count === 0 ? 0 : histogram.max / 1000 }
}

function withResolvers<R>() {
  let resolve: (result: R) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<R>((resolved, rejected) => {
    resolve = resolved
    reject = rejected
  })
  return { promise, resolve, reject }
}

function connectionClosed(): C1mError {
  return new C1mError('ERR_C1M_CONNECTION_CLOSED', 'The connection of the task has closed')
}
