import { EventEmitter } from 'node:events'
import { notMade } from '../../base/errors.js'
import type { Handlers } from '../../connection/connection.js'
import { guard } from '../../native/guard.js'
import type { Reactor } from '../../reactor.js'

interface WorkerContextEvents {
  message: [value: unknown]
  drain: []
}

/** @internal */
export let makeWorkerContext: (index: number, data: unknown, post: (value: unknown) => boolean) => WorkerContext

/**
 * The second argument of `setup`, in addition to its reactor. Emits `message` for each `pool.send()`, and `drain` when
 * the worker has begun to drain: it accepts no more, and its connections' `shutdown` handlers are called.
 */
export class WorkerContext extends EventEmitter<WorkerContextEvents> {
  /** The worker's number: 0 to `pool.size` - 1. A worker that replaces another has the same number. */
  readonly index: number
  /** A clone of the pool's `data`. */
  readonly data: unknown
  readonly #post: (value: unknown) => boolean
  #draining = false

  private constructor(index: number, data: unknown, post: (value: unknown) => boolean) {
    super()
    if (post === undefined) throw notMade('WorkerContext', 'a ReactorPool, for "setup"')
    this.index = index
    this.data = data
    this.#post = post
  }

  static {
    makeWorkerContext = (...given) => new WorkerContext(...given)
  }

  /** True once it has begun to drain. */
  get draining(): boolean {
    return this.#draining
  }

  /**
   * Sends a clone of a value to the pool, which emits `message` with it. Returns `false`, and sends nothing, if 10,000
   * messages wait already for a pool whose thread is busy. Throws an error for a value that can't be cloned.
   */
  send(value: unknown): boolean {
    return this.#post(value)
  }

  /**
   * @internal Emits `drain`. An error of its listeners is an uncaught exception of the worker, and doesn't affect the
   * pool.
   */
  drain(): void {
    this.#draining = true
    guard(() => this.emit('drain'))
  }

  /** @internal Emits `message`. */
  deliver(value: unknown): void {
    guard(() => this.emit('message', value))
  }
}

/**
 * The `setup` of a pool's module: it is called once in each worker, and returns the handlers that serve the pool's
 * listeners, or several by name, for `pool.listen({ handlers: 'name' })`. The worker counts as started when it has
 * returned.
 *
 * @example
 * export function setup(reactor, context) {
 *   return {
 *     data(conn, chunk) { conn.write(`worker ${context.index}: ${chunk}`) },
 *     shutdown(conn) { conn.end('going down\n') },
 *   }
 * }
 */
export type ReactorPoolSetup = (
  reactor: Reactor,
  context: WorkerContext,
) => WorkerHandlers | NoHandlers | Promise<WorkerHandlers | NoHandlers>

type WorkerHandlers = Handlers<never> | Readonly<Record<string, Handlers<never>>>

// biome-ignore lint/suspicious/noConfusingVoidType: one without a `return` serves no listener of the pool's.
type NoHandlers = void | undefined
