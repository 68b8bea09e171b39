import { join } from 'node:path'
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { Transferable } from 'node:worker_threads'
import type { Piscina as PiscinaPool } from 'piscina'
import { onAbort, reasonOf } from '../../base/abort.js'
import { C1mError, poolClosed } from '../../base/errors.js'
import { checkBoolean, checkObject } from '../../base/validate.js'
import type { Connection } from '../../connection/connection.js'
import type { PoolThreadData } from '../pool-role.js'
import { fromWire, isWire } from '../wire-error.js'
import type { ConnectionHandle } from './remote-connection.js'
import { Shares } from './shares.js'
import { TaskQueue } from './task-queue.js'
import { withoutSurroundings } from './task-value.js'
import {
  checkRunOptions,
  checkWorkerPoolOptions,
  type RunOptions,
  type WorkerPoolOptions,
} from './worker-pool-options.js'

/** Percentiles in milliseconds. */
export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** The result of `pool.stats()`: counters since its start, except where they say "now". */
export interface WorkerPoolStats {
  /** Tasks that wait now, and tasks that run now. */
  readonly queued: number
  readonly running: number
  /** Tasks that had a result; that failed; and that were cancelled, by a signal, a `close`, or the end of the pool. */
  readonly completed: number
  readonly failed: number
  readonly cancelled: number
  /** Connections that aren't read now, because of their own share or of the queue. */
  readonly heldConnections: number
  /** The time from `run()` until a worker had the task; and from then until its end. */
  readonly waitMs: Percentiles
  readonly runMs: Percentiles
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

/**
 * Runs tasks that take CPU time on worker threads, so that the thread of the handlers stays free; by `piscina`. The
 * pool knows the connection of a task: tasks of connections that have closed are not run, and a connection that brings
 * more than the workers can do is not read meanwhile.
 *
 * The pool keeps the process alive while it has tasks.
 *
 * @example
 * const pool = new WorkerPool({ filename: new URL('./resize.mjs', import.meta.url) })
 * const framing = lengthPrefixed({ bytes: 4 })
 * await reactor.listen({ port: 7000, framing }, {
 *   async data(conn, image) {
 *     try {
 *       writeFrame(conn, framing, await pool.run<Uint8Array>(image, { connection: conn, ordered: true }))
 *     } catch (error) {
 *       conn.destroy(error)
 *     }
 *   },
 * })
 */
export class WorkerPool {
  /** The number of workers. */
  readonly size: number
  readonly #maxQueue: number
  readonly #pool: PiscinaPool
  readonly #queue = new TaskQueue<Task>()
  readonly #shares: Shares<Task>
  readonly #wait = createHistogram()
  readonly #run = createHistogram()
  readonly #counts = { completed: 0, failed: 0, cancelled: 0 }
  #running = 0
  /** True after the queue was three quarters full, until it is half empty again. */
  #filling = false
  #closing: Promise<void> | undefined
  #destroyed: Promise<void> | undefined
  #onIdle: (() => void) | undefined

  /**
   * Starts the workers. Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE) or RangeError
   * (ERR_C1M_OUT_OF_RANGE) for bad options, and ERR_MODULE_NOT_FOUND for an unknown module. A module that can't be
   * loaded fails each task with its error.
   */
  constructor(options: WorkerPoolOptions) {
    const { size, maxQueue, maxTasksPerConnection, filename, modules, resourceLimits } = checkWorkerPoolOptions(options)
    this.size = size
    this.#maxQueue = maxQueue
    this.#shares = new Shares(maxTasksPerConnection, (task) => this.#cancel(task, connectionClosed()))
    // The package is loaded when it is needed: it takes a fifth of the time that c1m takes to load.
    const { Piscina } = require('piscina') as typeof import('piscina')
    this.#pool = new Piscina({
      filename: join(__dirname, 'task-worker.js'),
      minThreads: this.size,
      maxThreads: this.size,
      recordTiming: false,
      workerData: { c1mPool: true, modules, filename } satisfies PoolThreadData & { filename: string },
      ...(resourceLimits !== undefined && { resourceLimits }),
    })
    // A worker that ends without a task is replaced; one with a task fails it, and its error is reported there.
    this.#pool.on('error', () => {})
  }

  /**
   * Runs a task: the module's function is called with a clone of it, and with `{ connection }`, a `RemoteConnection`
   * for direct replies, if there was one. Resolves with a clone of its result; rejects with an error of the same class,
   * with its properties, such as `code`. Of a view of bytes, such as a chunk, only the bytes are cloned, and not the
   * memory in which they lie, if the view is the task itself or stands right below it; and they are copied now.
   * Everything else is cloned when a worker takes the task: don't change it until then.
   *
   * While a connection has tasks, an automatic end waits for their results: that of `allowHalfOpen: false` after the
   * peer's FIN, and that of a shutdown.
   *
   * Rejects also with ERR_C1M_TASK_QUEUE_FULL when `maxQueue` tasks wait; with ERR_C1M_CONNECTION_CLOSED if its
   * connection closes before a worker has the task; with the signal's reason; with ERR_C1M_POOL_CLOSED after `close()`;
   * with an error of `worker_threads` if its worker exits or runs out of memory; and with a TypeError
   * (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE) for bad options.
   */
  async run<R = unknown, T = unknown>(task: unknown, options?: RunOptions<T>): Promise<R> {
    const { conn, signal, transfer, ordered } = checkRunOptions(options)
    const refusal = this.#refusal(conn, signal)
    // The connection must not bring more tasks, either.
    if (refusal?.full === true && conn !== undefined) this.#shares.pause(conn)
    const result =
      refusal === undefined ? this.#submit<R>(task, { conn, signal, transfer }) : Promise.reject(refusal.reason)
    return ordered && conn !== undefined ? this.#shares.inOrder(conn, result) : result
  }

  /** Returns the counters; cheap enough for any scrape interval. */
  stats(): WorkerPoolStats {
    return {
      queued: this.#queue.length,
      running: this.#running,
      ...this.#counts,
      heldConnections: this.#shares.paused,
      waitMs: percentiles(this.#wait),
      runMs: percentiles(this.#run),
    }
  }

  /**
   * Takes no more tasks, waits for the existing ones, and ends the workers. With `{ force: true }` waiting tasks are
   * cancelled, with ERR_C1M_POOL_CLOSED, and running ones fail. A second call returns the same promise. Throws a
   * TypeError (ERR_C1M_INVALID_ARG_TYPE) for bad options.
   */
  close(options?: { force?: boolean | undefined }): Promise<void> {
    const { force = false } = checkObject('options', options)
    checkBoolean('force', force)
    if (force) for (let task = this.#queue.shift(); task !== undefined; task = this.#queue.shift()) this.#drop(task)
    this.#closing ??= this.#close(force)
    if (force) void this.#destroy()
    return this.#closing
  }

  async #close(force: boolean): Promise<void> {
    if (!force && this.#running + this.#queue.length > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    await this.#destroy()
  }

  /**
   * Destroys piscina once: a second call would finish before the first, and workers that end after it would be
   * replaced.
   */
  #destroy(): Promise<void> {
    this.#destroyed ??= this.#pool.destroy()
    return this.#destroyed
  }

  #drop(task: Task): void {
    task.cancelled = true
    this.#settled(task, 'cancelled')
    task.reject(poolClosed())
  }

  #refusal(
    conn: Connection<never> | undefined,
    signal: AbortSignal | undefined,
  ): { reason: unknown; full?: boolean } | undefined {
    if (this.#closing !== undefined) return { reason: poolClosed() }
    if (signal?.aborted) return { reason: reasonOf(signal) }
    if (conn?.closed) return { reason: connectionClosed() }
    if (this.#queue.length < this.#maxQueue) return undefined
    return { reason: new C1mError('ERR_C1M_TASK_QUEUE_FULL', `${this.#maxQueue} tasks wait already`), full: true }
  }

  #submit<R>(value: unknown, { conn, signal, transfer }: Pick<Task, 'conn' | 'signal' | 'transfer'>): Promise<R> {
    const { promise, resolve, reject } = withResolvers<R>()
    const task: Task = {
      value: withoutSurroundings(value, transfer),
      conn,
      signal,
      transfer,
      since: performance.now(),
      cancelled: false,
      forgetSignal: undefined,
      resolve: resolve as (result: unknown) => void,
      reject,
    }
    if (conn !== undefined) this.#shares.add(conn, task)
    if (signal !== undefined) task.forgetSignal = onAbort(signal, () => this.#cancel(task, reasonOf(signal)))
    this.#queue.push(task)
    if (this.#running < this.size) this.#next()
    if (this.#queue.length >= this.#maxQueue * 0.75) this.#filling = true
    if (conn !== undefined) this.#shares.pauseIfFull(conn, this.#filling)
    return promise
  }

  /** Cancels a waiting task: a worker that has it isn't asked. */
  #cancel(task: Task, reason: unknown): void {
    if (task.cancelled) return
    task.cancelled = true
    this.#queue.cancelled()
    this.#settled(task, 'cancelled')
    task.reject(reason)
  }

  #next(): void {
    for (let task = this.#queue.shift(); task !== undefined; task = this.#queue.shift()) {
      const connection = task.conn && handleOf(task.conn)
      if (task.conn === undefined || connection !== undefined) return this.#start(task, connection)
      // The connection was destroyed, or closed while it was paused: its `close` has not been delivered.
      task.cancelled = true
      this.#settled(task, 'cancelled')
      task.reject(connectionClosed())
    }
  }

  #start(task: Task, connection: ConnectionHandle | undefined): void {
    this.#running++
    task.forgetSignal?.()
    if (task.conn !== undefined) this.#shares.begun(task.conn, task)
    const began = performance.now()
    record(this.#wait, began - task.since)
    this.#pool
      .run(
        { task: task.value, connection },
        {
          ...(task.signal !== undefined && { signal: task.signal }),
          ...(task.transfer !== undefined && { transferList: task.transfer as never }),
        },
      )
      .then(
        (result) => this.#done(task, began, 'completed', () => task.resolve(result)),
        (reason) => {
          const error = errorOf(reason)
          const aborted = task.signal?.aborted === true
          this.#done(task, began, aborted ? 'cancelled' : 'failed', () =>
            task.reject(aborted ? reasonOf(task.signal as AbortSignal) : error),
          )
        },
      )
  }

  #done(task: Task, began: number, how: 'completed' | 'failed' | 'cancelled', notify: () => void): void {
    record(this.#run, performance.now() - began)
    this.#running--
    // The worker is busy again before the caller is notified.
    this.#next()
    this.#settled(task, how)
    notify()
  }

  #settled(task: Task, how: 'completed' | 'failed' | 'cancelled'): void {
    this.#counts[how]++
    task.forgetSignal?.()
    if (task.conn !== undefined) this.#shares.remove(task.conn, task, this.#filling)
    if (this.#filling && this.#queue.length <= this.#maxQueue / 2) {
      this.#filling = false
      this.#shares.resumePaused()
    }
    if (this.#running + this.#queue.length === 0) this.#onIdle?.()
  }
}

/** Returns the error of a task, which comes as plain data, or one of piscina's own. */
function errorOf(reason: unknown): unknown {
  if (isWire(reason)) return fromWire(reason)
  if (typeof reason !== 'object' || reason === null) return reason
  // This is the only error that is made between task and piscina. A clone of a DOMException is an empty object, in Node
  // 20, or an Error without name and message.
  const isClone =
    reason instanceof Error
      ? reason.message === '' && reason.stack?.startsWith('DataCloneError') === true
      : Object.keys(reason).length === 0
  if (!isClone) return reason
  return new DOMException('The result of the task could not be cloned', 'DataCloneError')
}

function handleOf(conn: Connection<never>): ConnectionHandle | undefined {
  const { here: place } = conn
  if (place === undefined) return undefined
  const { io, slot, generation } = place
  return { loop: io.native.loopNumber(), slot, generation, maxWriteQueue: conn.context.maxWriteQueue }
}

function record(histogram: RecordableHistogram, ms: number): void {
  histogram.record(Math.max(1, Math.round(ms * 1000)))
}

/** Returns the percentiles of a histogram in microseconds. */
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
