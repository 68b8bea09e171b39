import { createServer, type Server, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { PoolWorker } from './pool-worker.js'

/** @internal Who takes the next connection: a worker; none yet; or none, as all are full. */
export type Chosen = PoolWorker | 'later' | 'full'

/**
 * @internal Accepts for a pool, and hands each connection to the worker that has fewest. While none can take it they wait
 * here, as many as in the kernel's queue; what is beyond that, and what comes while all are full, is turned away.
 */
export class Dispatcher {
  readonly #server: Server
  readonly #choose: () => Chosen
  readonly #listener: number
  readonly #backlog: number
  readonly #waiting: Socket[] = []
  #accepted = 0

  /** The descriptor is its own from here on. */
  constructor(fd: number, listener: number, backlog: number, choose: () => Chosen) {
    this.#listener = listener
    this.#backlog = backlog
    this.#choose = choose
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#dispatch(socket))
    // Errors of accept(2), of which libuv tells, and goes on.
    this.#server.on('error', () => {})
    // `exclusive`: in a `cluster` worker the primary has nothing to do with it.
    this.#server.listen({ fd, exclusive: true, backlog })
  }

  /** A worker can take connections that couldn't before. */
  flush(): void {
    while (this.#waiting.length > 0 && this.#choose() !== 'later') this.#place(this.#waiting.shift() as Socket)
  }

  /**
   * Accepts no more. What is in the kernel's queue by then is handed over, until this time, by `performance.now()`; what has
   * been handed over is the workers'.
   */
  async close(until: number): Promise<void> {
    // libuv accepts one a turn. A turn without one, or as many as the queue holds: the rest has come since.
    for (let turns = 0; turns < this.#backlog && performance.now() < until; turns++) {
      const before = this.#accepted
      await turn()
      await turn()
      if (this.#accepted === before) break
    }
    this.#server.close()
    for (const socket of this.#waiting.splice(0)) turnAway(socket)
  }

  #dispatch(socket: Socket): void {
    this.#accepted++
    socket.on('error', () => {})
    this.#place(socket)
  }

  #place(socket: Socket): void {
    const chosen = this.#choose()
    if (chosen === 'full') turnAway(socket)
    else if (chosen !== 'later') chosen.give(this.#listener, socket)
    else if (this.#waiting.length < this.#backlog) this.#waiting.push(socket)
    else turnAway(socket)
  }
}

/** By a reset, where there is such a thing: not on a Unix socket, where Node throws. */
function turnAway(socket: Socket): void {
  if (socket.remoteFamily === undefined) socket.destroy()
  else socket.resetAndDestroy()
}
