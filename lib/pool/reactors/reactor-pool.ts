import { EventEmitter } from 'node:events'
import { inspect } from 'node:util'
import { poolClosed } from '../../base/errors.js'
import { checkNetworkAllowed } from '../../base/permission.js'
import { checkInteger, checkShutdownOptions } from '../../base/validate.js'
import { type BroadcastResult, bytesOf } from '../../features/broadcast.js'
import type { ShutdownResult } from '../../features/shutdown.js'
import { guard } from '../../native/guard.js'
import { STAT_NAMES } from '../../native/layout.js'
import type { ReactorStats } from '../../reactor.js'
import { controlOf, makePoolListener, type PoolListener } from './pool-listener.js'
import { closeSockets, openSockets } from './pool-sockets.js'
import type { PoolWorker } from './pool-worker.js'
import {
  type CheckedPool,
  checkPoolListen,
  checkPoolOptions,
  type PoolListenOptions,
  type ReactorPoolOptions,
} from './reactor-pool-options.js'
import { Supervisor } from './supervisor.js'
import type { WorkerExit } from './worker-channel.js'

/** The pool's `crash` event: a worker has ended without having been instructed to. */
export interface WorkerCrash extends WorkerExit {
  /** The worker's number. */
  readonly worker: number
}

/** One worker in `pool.stats()`. */
export interface PoolWorkerStats {
  /** The worker's number. */
  readonly index: number
  /** The id of the process, or the thread's `threadId`. */
  readonly id: number
  /** Milliseconds since it was started. */
  readonly uptimeMs: number
  /** The counters of its reactor. */
  readonly reactor: ReactorStats
}

/** The result of `pool.stats()`: the sums over the existing reactors; those that have ended are no longer included. */
export interface ReactorPoolStats extends Readonly<Record<(typeof STAT_NAMES)[number], number>> {
  /** Connections open now. */
  readonly connections: number
  /** Workers that ended without having been instructed to, or could not start, since the pool's start. */
  readonly crashes: number
  /** Workers that took the place of another, after a crash or in a rolling restart. */
  readonly restarts: number
  /** The workers that serve or drain now. */
  readonly workers: readonly PoolWorkerStats[]
}

interface PoolEvents {
  message: [value: unknown, worker: number]
  crash: [WorkerCrash]
}

/**
 * Workers, each with a `Reactor`, that share their listeners: the handlers' own code runs on many cores.
 *
 * A worker that ends without having been instructed to is replaced after 100 ms, twice that with each further time, up
 * to 10 s; meanwhile another worker accepts for it. The pool keeps the process alive until `shutdown()`.
 *
 * Emits `message` for each `context.send()` of a worker, and `crash`.
 *
 * @example
 * const pool = new ReactorPool({ module: new URL('./worker.mjs', import.meta.url), size: 4, mode: 'processes' })
 * await pool.listen({ port: 7000 })
 * process.once('SIGTERM', () => pool.shutdown())
 * process.on('SIGHUP', () => pool.restart())
 */
export class ReactorPool extends EventEmitter<PoolEvents> {
  /** The number of workers. */
  readonly size: number
  readonly #options: CheckedPool
  readonly #supervisor: Supervisor
  readonly #listeners = new Set<PoolListener>()
  readonly #started: Promise<void>
  #numbers = 0
  #restarting: Promise<ShutdownResult> | undefined
  #shutdown: Promise<ShutdownResult> | undefined

  /**
   * Starts the workers. Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE) or RangeError
   * (ERR_C1M_OUT_OF_RANGE) for bad options. If one of the workers can't start, the pool ends: `ready()` and `listen()`
   * reject.
   */
  constructor(options: ReactorPoolOptions) {
    super()
    this.#options = checkPoolOptions(options)
    this.size = this.#options.size
    this.#supervisor = new Supervisor(this.#options, {
      equip: (worker, place) => this.#equip(worker, place),
      leaving: (worker) => this.#standIn(worker),
      crashed: (worker, how) => {
        this.#standIn(worker)
        guard(() => this.emit('crash', { worker: worker.index, ...how }))
      },
      message: (value, index) => guard(() => this.emit('message', value, index)),
      room: () => this.#flush(),
    })
    this.#started = this.#supervisor.start().catch(async (error: unknown) => {
      if (this.#shutdown !== undefined) throw poolClosed()
      await this.#end(0)
      throw error
    })
    this.#started.catch(() => {})
  }

  /**
   * Resolves when `setup` has in each worker. Rejects with ERR_C1M_WORKER_FAILED, whose `cause` is the error of
   * `setup`, if one of them can't start; all have ended then.
   */
  ready(): Promise<void> {
    return this.#started
  }

  /** The number of connections open now in all workers, as they last reported it: at most 100 ms late. */
  get connections(): number {
    let sum = 0
    for (const { connections } of this.#supervisor.alive) sum += connections
    return sum
  }

  /**
   * Listens in all workers, with the handlers that `setup` returned. Resolves when they accept.
   *
   * This process opens and holds the sockets: connections in their queues survive the worker that accepts from them.
   *
   * Rejects as `reactor.listen()` does; with ERR_C1M_WORKER_FAILED if the workers could not start; with
   * ERR_C1M_INVALID_ARG_VALUE if `setup` returned no such handlers; and with ERR_C1M_POOL_CLOSED after `shutdown()`.
   *
   * @example
   * const listener = await pool.listen({ port: 7000, noDelay: true })
   */
  async listen(options: PoolListenOptions): Promise<PoolListener> {
    const listen = checkPoolListen(options)
    if (this.#shutdown !== undefined) throw poolClosed()
    checkNetworkAllowed()
    await this.#started
    const { size, cpus, maxConnections } = this.#options
    const opened = await openSockets(listen, listen.placement === 'least-connections' ? 1 : size, cpus)
    if (this.#shutdown !== undefined) {
      closeSockets(opened)
      throw poolClosed()
    }
    const owner = {
      maxConnections,
      serving: () => this.#supervisor.serving,
      nextSocket: () => this.#numbers++,
      close: (listener: PoolListener) => this.#close(listener),
    }
    const listener = makePoolListener(owner, this.#numbers++, listen, opened)
    this.#listeners.add(listener)
    try {
      await controlOf(listener).open()
      if (this.#shutdown !== undefined) throw poolClosed()
    } catch (error) {
      await listener.close()
      throw error
    }
    return listener
  }

  /**
   * Sends a clone to a worker, or to each: its `context` emits `message`. Returns the number of workers that it was
   * sent to: one that is being replaced gets none, nor does one whose JS thread is so busy that 10,000 messages wait
   * for it. Throws an error for a value that can't be cloned, and a RangeError (ERR_C1M_OUT_OF_RANGE) for an unknown
   * worker.
   */
  send(value: unknown, worker?: number): number {
    if (worker !== undefined) checkInteger('worker', worker, 0, this.size - 1)
    const to = this.#serving().filter(({ index }) => worker === undefined || index === worker)
    return to.filter((one) => one.send(value)).length
  }

  /**
   * Sends the same bytes to all open connections of all workers, as `reactor.connections.broadcast()` does for one
   * reactor. Connections of a worker that crashes meanwhile are not counted. Rejects with a TypeError
   * (ERR_C1M_INVALID_ARG_TYPE).
   */
  async broadcast(chunk: string | Uint8Array): Promise<BroadcastResult> {
    const bytes = bytesOf(chunk)
    const total = { reached: 0, queued: 0, cut: 0 }
    for (const result of await this.#askAll<BroadcastResult>({ type: 'broadcast', bytes })) {
      total.reached += result.reply.reached
      total.queued += result.reply.queued
      total.cut += result.reply.cut
    }
    return total
  }

  /** Resolves with the workers' counters. A worker that crashes meanwhile is left out. */
  async stats(): Promise<ReactorPoolStats> {
    const total: Record<string, number> = { connections: 0 }
    for (const name of STAT_NAMES) total[name] = 0
    const workers: PoolWorkerStats[] = []
    for (const { worker, reply } of await this.#askAll<ReactorStats>({ type: 'stats' })) {
      for (const name of ['connections', ...STAT_NAMES] as const) total[name] = (total[name] ?? 0) + reply[name]
      const uptimeMs = Math.round(performance.now() - worker.since)
      workers.push({ index: worker.index, id: worker.id, uptimeMs, reactor: reply })
    }
    const { crashes, restarts } = this.#supervisor
    return { ...total, crashes, restarts, workers } as unknown as ReactorPoolStats
  }

  /**
   * Replaces the workers one after the other, so that they load their module again: a successor starts and accepts,
   * then the old worker stops accepting and drains, as `reactor.shutdown()` does. Resolves when all have been replaced.
   * A second call meanwhile returns the same promise.
   *
   * Rejects with ERR_C1M_WORKER_FAILED if a successor can't start, and the existing workers continue; with
   * ERR_C1M_POOL_CLOSED after `shutdown()`; and with a TypeError (ERR_C1M_INVALID_ARG_TYPE) or RangeError
   * (ERR_C1M_OUT_OF_RANGE) for a bad `timeoutMs`.
   *
   * @param options.timeoutMs Milliseconds for each worker, see `reactor.shutdown()`. Default: 10,000.
   */
  async restart(options?: { timeoutMs?: number | undefined }): Promise<ShutdownResult> {
    const timeoutMs = checkShutdownOptions(options)
    if (this.#shutdown !== undefined) throw poolClosed()
    await this.#started
    this.#restarting ??= this.#supervisor.restart(timeoutMs).finally(() => {
      this.#restarting = undefined
    })
    return this.#restarting
  }

  /**
   * Lets all workers drain at the same time, as `reactor.shutdown()` does, and end; a worker that hasn't ended 3 s
   * after the deadline is killed. A second call resolves with the same result. Rejects with a TypeError
   * (ERR_C1M_INVALID_ARG_TYPE) or RangeError (ERR_C1M_OUT_OF_RANGE) for a bad `timeoutMs`.
   *
   * @param options.timeoutMs Milliseconds until the deadline. 0 to 2^31-1. Default: 10,000.
   */
  async shutdown(options?: { timeoutMs?: number | undefined }): Promise<ShutdownResult> {
    return this.#end(checkShutdownOptions(options))
  }

  /** The text that `console.log` shows. */
  [inspect.custom](): string {
    const state = this.#shutdown === undefined ? '' : ', shut down'
    return `ReactorPool ${this.size} ${this.#options.mode}, ${this.connections} connections${state}`
  }

  #end(timeoutMs: number): Promise<ShutdownResult> {
    this.#shutdown ??= this.#drain(timeoutMs)
    return this.#shutdown
  }

  async #drain(timeoutMs: number): Promise<ShutdownResult> {
    const until = performance.now() + timeoutMs
    this.#supervisor.stop()
    // Listeners stop first, so that no more connections come; those in the queues by then belong to the workers.
    const listeners = [...this.#listeners]
    await Promise.all(listeners.map((listener) => controlOf(listener).stop(until)))
    const result = await this.#supervisor.end(Math.max(0, Math.round(until - performance.now())))
    await this.#restarting?.catch(() => {})
    await Promise.all(listeners.map((listener) => listener.close()))
    return result
  }

  #serving(): PoolWorker[] {
    return this.#supervisor.serving.filter((worker) => worker !== undefined)
  }

  async #askAll<R>(message: Parameters<PoolWorker['ask']>[0]): Promise<{ worker: PoolWorker; reply: R }[]> {
    const started = [...this.#supervisor.alive].filter((worker) => worker.started && !worker.silent)
    const asked = started.map(async (worker) => {
      try {
        return { worker, reply: await worker.ask<R>(message) }
      } catch {
        return undefined
      }
    })
    return (await Promise.all(asked)).filter((reply) => reply !== undefined)
  }

  async #equip(worker: PoolWorker, place: () => void): Promise<void> {
    const done = new Set<PoolListener>()
    try {
      for (let next = this.#listenerBut(done); next !== undefined; next = this.#listenerBut(done)) {
        done.add(next)
        await controlOf(next).equip(worker)
      }
    } catch (error) {
      // Other workers stand in on the listeners that this one was given before it ended.
      this.#standIn(worker)
      throw error
    }
    place()
    this.#flush()
  }

  #flush(): void {
    for (const listener of this.#listeners) controlOf(listener).flush()
  }

  /** Returns a listener that isn't done: one may have been added in the meantime. */
  #listenerBut(done: ReadonlySet<PoolListener>): PoolListener | undefined {
    return [...this.#listeners].find((listener) => !done.has(listener))
  }

  #standIn(gone: PoolWorker): void {
    for (const listener of this.#listeners) controlOf(listener).standIn(gone)
  }

  async #close(listener: PoolListener): Promise<void> {
    this.#listeners.delete(listener)
    await controlOf(listener).close()
  }
}
