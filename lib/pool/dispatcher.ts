import { createServer, type Server, type Socket } from 'node:net'
import type { PoolWorker } from './pool-worker.js'

/**
 * @internal Accepts for a pool, and hands each connection to the worker that has fewest. While there is no worker they wait
 * here, as many as in the kernel's queue.
 */
export class Dispatcher {
  readonly #server: Server
  readonly #choose: () => PoolWorker | undefined
  readonly #listener: number
  readonly #backlog: number
  readonly #waiting: Socket[] = []

  /** The descriptor is its own from here on. `choose` says who takes the next. */
  constructor(fd: number, listener: number, backlog: number, choose: () => PoolWorker | undefined) {
    this.#listener = listener
    this.#backlog = backlog
    this.#choose = choose
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#dispatch(socket))
    // Errors of accept(2), of which libuv tells, and goes on.
    this.#server.on('error', () => {})
    // `exclusive`: in a `cluster` worker the primary has nothing to do with it.
    this.#server.listen({ fd, exclusive: true, backlog })
  }

  /** There is a worker again. */
  flush(): void {
    for (const socket of this.#waiting.splice(0)) this.#dispatch(socket)
  }

  /** What has been handed over is the workers'. */
  close(): void {
    for (const socket of this.#waiting.splice(0)) socket.resetAndDestroy()
    this.#server.close()
  }

  #dispatch(socket: Socket): void {
    socket.on('error', () => {})
    const worker = this.#choose()
    if (worker !== undefined) worker.give(this.#listener, socket)
    else if (this.#waiting.length < this.#backlog) this.#waiting.push(socket)
    else socket.resetAndDestroy()
  }
}
