import { C1mError, reactorClosed } from '../base/errors.js'
import { inTurns, within } from '../base/in-turns.js'
import type { Moves, Pending } from '../base/pending.js'
import type { Listener } from '../listener.js'
import type { IoThread } from '../thread/io-thread.js'
import type { Connecting } from './connect.js'
import type { ConnectionMap } from './connection-map.js'

/** The result of a shutdown. */
export interface ShutdownResult {
  /** Connections that closed on their own before the deadline. */
  readonly drained: number
  /** Connections that were still open at the deadline, and were destroyed. */
  readonly cut: number
}

/** @internal The parts of a reactor that a shutdown ends. */
export interface ShutdownParts {
  readonly threads: readonly IoThread[]
  readonly connections: ConnectionMap
  /** Calls of `connect()` in progress. */
  readonly connecting: ReadonlySet<Connecting<never>>
  /** Sockets that are being adopted, which are in no table. */
  readonly adopting: ReadonlySet<Promise<unknown>>
  readonly moves: Moves
  readonly operations: Pending
  /** Returns the listeners that are open, or about to be. */
  listeners(): Iterable<Listener<unknown>>
}

/**
 * @internal The shutdown of a reactor: nothing more comes in, connections are notified and have until the deadline to
 * close, the others are cut, and the I/O threads end when each request has its reply.
 */
export class Shutdown {
  readonly #parts: ShutdownParts
  #onEmpty: (() => void) | undefined

  constructor(parts: ShutdownParts) {
    this.#parts = parts
  }

  /** Notes that a connection has closed. */
  connectionClosed(): void {
    if (this.#onEmpty !== undefined && this.#left === 0) this.#onEmpty()
  }

  async run(timeoutMs: number): Promise<ShutdownResult> {
    const { threads, connecting, adopting, moves } = this.#parts
    const deadline = performance.now() + timeoutMs
    for (const attempt of connecting) attempt.fail(reactorClosed())
    for (const thread of threads) thread.watches.clear()
    const before = this.#left
    // A listener that can't be closed for lack of memory is closed with its thread.
    const closed = Promise.allSettled([
      ...adopting,
      ...Array.from(this.#parts.listeners(), (listener) => listener.close()),
    ])
    // Connections in the listeners' queues get their `open` handlers, and time for them.
    if (timeoutMs > 0) await within(deadline, closed)
    const accepted = Math.max(before, this.#left)
    if (timeoutMs > 0) {
      for (const thread of threads) {
        await inTurns(thread.open(), ([slot]) => thread.shutdownConnection(slot), deadline)
      }
      await within(deadline, this.#empty())
    }
    moves.stopped = true
    // A pass visits one thread after the other, and no connection may change threads during it.
    await moves.none()
    const cut = this.#left
    await this.#cut()
    await closed
    const late = await this.#cut()
    await this.#empty()
    await this.#replied()
    for (const thread of threads) thread.close()
    return { drained: Math.max(0, accepted - cut), cut: cut + late }
  }

  /** Destroys all open connections; returns how many of them weren't destroyed before. */
  async #cut(): Promise<number> {
    const { threads, connections } = this.#parts
    let count = 0
    const unreported = threads.flatMap((thread) => [...thread.closedUnreported])
    for (const conns of [connections.values(), unreported]) {
      await inTurns(conns, (conn) => {
        if (conn.destroy(new C1mError('ERR_C1M_SHUTDOWN', 'The reactor was shut down'))) count++
      })
    }
    return count
  }

  /**
   * Resolves when each request has its reply: a promise whose reply doesn't come would stay pending. An operation makes
   * requests, and a reply may begin another operation.
   */
  async #replied(): Promise<void> {
    const { threads, operations } = this.#parts
    while (operations.count > 0 || threads.some(({ requests }) => requests.count > 0)) {
      await operations.none()
      await Promise.all(threads.map(({ requests }) => requests.none()))
    }
  }

  /** The number of connections whose close has not been delivered. */
  get #left(): number {
    const { threads, connections } = this.#parts
    return threads.reduce((sum, { closedUnreported }) => sum + closedUnreported.size, connections.size)
  }

  /** Resolves when no connection is left. */
  #empty(): Promise<void> {
    if (this.#left === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onEmpty = resolve
    })
  }
}
