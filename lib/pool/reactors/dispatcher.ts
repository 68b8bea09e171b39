import { createServer, type Server, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { PoolWorker } from './pool-worker.js'

/**
 * @internal The target of the next connection: a worker; `later` while none can take it; or `full`, when all are full.
 */
export type Chosen = PoolWorker | 'later' | 'full'

/**
 * @internal Accepts for a pool, and hands each connection to the worker with the fewest. While none can take one, up to
 * `backlog` connections wait here; those beyond that, and those that come while all workers are full, are rejected.
 */
export class Dispatcher {
  readonly #server: Server
  readonly #choose: () => Chosen
  readonly #listener: number
  readonly #backlog: number
  readonly #waiting: Socket[] = []
  #accepted = 0

  /** Makes a dispatcher, which owns the descriptor from here on. */
  constructor(fd: number, listener: number, backlog: number, choose: () => Chosen) {
    this.#listener = listener
    this.#backlog = backlog
    this.#choose = choose
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#dispatch(socket))
    // Errors of accept(2), which libuv reports before it continues.
    this.#server.on('error', () => {})
    // `exclusive` keeps the primary of a `cluster` worker out of it.
    this.#server.listen({ fd, exclusive: true, backlog })
  }

  /** Hands waiting connections over, when a worker can take some again. */
  flush(): void {
    while (this.#waiting.length > 0 && this.#choose() !== 'later') this.#place(this.#waiting.shift() as Socket)
  }

  /**
   * Stops accepting. Connections that are in the kernel's queue by then are handed over, up to `until`, a time of
   * `performance.now()`; those that have been handed over belong to the workers.
   */
  async close(until: number): Promise<void> {
    // libuv accepts one connection a turn. After a turn without one, or as many turns as the queue holds, the rest is
    // newer.
    for (let turns = 0; turns < this.#backlog && performance.now() < until; turns++) {
      const before = this.#accepted
      await turn()
      await turn()
      if (this.#accepted === before) break
    }
    this.#server.close()
    for (const socket of this.#waiting.splice(0)) reject(socket)
  }

  #dispatch(socket: Socket): void {
    this.#accepted++
    socket.on('error', () => {})
    this.#place(socket)
  }

  #place(socket: Socket): void {
    const chosen = this.#choose()
    if (chosen === 'full') reject(socket)
    else if (chosen !== 'later') chosen.give(this.#listener, socket)
    else if (this.#waiting.length < this.#backlog) this.#waiting.push(socket)
    else reject(socket)
  }
}

/** Rejects a connection by a reset, which a Unix socket doesn't have: Node throws there. */
function reject(socket: Socket): void {
  if (socket.remoteFamily === undefined) socket.destroy()
  else socket.resetAndDestroy()
}
