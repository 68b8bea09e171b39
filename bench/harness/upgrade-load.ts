import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const REQUEST = 'GET / HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n'
/** The number of connections that are upgraded at the same time. */
const CONCURRENCY = 20

/** Clients that upgrade their connections, and keep them. */
export class UpgradeLoad {
  readonly #sockets: Socket[] = []

  constructor(private readonly port: number) {}

  async open(count: number): Promise<void> {
    for (let left = count; left > 0; left -= CONCURRENCY) {
      await Promise.all(Array.from({ length: Math.min(left, CONCURRENCY) }, () => this.#upgrade()))
    }
  }

  /** Sends one message on each connection, and waits for the echoes. Resolves with the number of missing ones. */
  async use(): Promise<number> {
    let wrong = 0
    for (const socket of this.#sockets) {
      socket.write('ping')
      const [chunk] = (await once(socket, 'data')) as [Buffer]
      if (chunk.toString() !== 'ping') wrong++
    }
    return wrong
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.length = 0
  }

  async #upgrade(): Promise<void> {
    const socket = connect(this.port, '127.0.0.1')
    socket.write(REQUEST)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    if (!answer.toString().startsWith('HTTP/1.1 101')) throw new Error(`not upgraded: ${answer.toString()}`)
    this.#sockets.push(socket)
  }
}
