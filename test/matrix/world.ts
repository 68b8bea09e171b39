import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { type Connection, type Handlers, type Listener, Reactor, type WorkerPool } from 'c1m'
import { FRAMINGS, HANDLERS, Near } from './near.js'
import { recordOf } from './wire.js'

export const FILE_RECORD = 400_000
/** A small buffer, so that bytes that a peer doesn't read wait in the queue and not in the kernel. */
const SEND_BUFFER = 16 * 1024

/** Makes a file of two records. */
export function makeFile(folder: string): string {
  const path = join(folder, 'records')
  writeFileSync(path, Buffer.concat([0, 1].map((number) => recordOf('file', number, FILE_RECORD))))
  return path
}

/** The options with which connections are accepted or adopted. */
export interface Kind {
  readonly halfOpen: boolean
  readonly framed: boolean
  readonly borrowed: boolean
}

/** A reactor, its listeners, and the connections whose peers are not known yet. */
export class World {
  readonly reactor: Reactor
  readonly handlers: Handlers<Near>
  readonly #listeners = new Map<string, Promise<Listener<Near>>>()
  readonly #expected = new Map<string, (conn: Connection<Near>) => void>()
  readonly #come = new Map<string, Connection<Near>>()

  constructor(
    readonly threads: number,
    readonly pool: WorkerPool,
    /** The path of a file of two records. */
    readonly file: string,
  ) {
    this.reactor = new Reactor({ maxConnections: 20_000, ioThreads: threads, poisonBorrowed: true })
    this.handlers = {
      ...HANDLERS,
      open: (conn) => {
        if (conn.data instanceof Near) return
        const key = `${conn.localPort} ${conn.remotePort}`
        const expected = this.#expected.get(key)
        this.#expected.delete(key)
        if (expected === undefined) this.#come.set(key, conn)
        else expected(conn)
      },
    }
  }

  options({ halfOpen, framed, borrowed }: Kind) {
    return {
      allowHalfOpen: halfOpen,
      read: borrowed ? ('borrowed' as const) : ('owned' as const),
      ...(framed && { framing: FRAMINGS.length }),
    }
  }

  /** Returns the listener for all connections of this kind, or one of its own. */
  listener(kind: Kind, own: boolean): Promise<Listener<Near>> {
    const key = JSON.stringify(kind)
    const known = own ? undefined : this.#listeners.get(key)
    const listening =
      known ??
      this.reactor.listen<Near>(
        { host: '127.0.0.1', port: 0, sendBufferBytes: SEND_BUFFER, ...this.options(kind) },
        this.handlers,
      )
    if (!own) this.#listeners.set(key, listening)
    return listening
  }

  /** Resolves with the connection whose peer is this socket. */
  accepted(socket: Socket, port: number): Promise<Connection<Near>> {
    const key = `${port} ${socket.localPort}`
    const come = this.#come.get(key)
    this.#come.delete(key)
    if (come !== undefined) return Promise.resolve(come)
    return new Promise((resolve) => this.#expected.set(key, resolve))
  }
}

/** A server of Node, whose sockets are found by their peer's port. */
export class Desk {
  readonly #waiting = new Map<number, (socket: Socket) => void>()
  readonly #come = new Map<number, Socket>()

  private constructor(readonly server: Server) {
    server.on('connection', (socket) => {
      const port = socket.remotePort as number
      const waiting = this.#waiting.get(port)
      this.#waiting.delete(port)
      if (waiting === undefined) this.#come.set(port, socket)
      else waiting(socket)
    })
  }

  static async open(): Promise<Desk> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Desk(server)
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  socketOf(port: number): Promise<Socket> {
    const come = this.#come.get(port)
    this.#come.delete(port)
    if (come !== undefined) return Promise.resolve(come)
    return new Promise((resolve) => this.#waiting.set(port, resolve))
  }
}
