import { Socket } from 'node:net'

/** The events by which a stream is read. The owner still gets the others, for example errors and the close. */
const READING = ['data', 'readable', 'end']

/**
 * @internal A socket that hands out no more of the data that it reads: neither to listeners or pipes, nor to code that
 * calls `read()`, as an async iterator does. The data is kept here instead.
 *
 * The stream itself uses its `emit()` and `read()` for both, so these two methods are covered by others. The listeners
 * stay as they are, in case the socket is given back.
 */
export class QuietSocket {
  /** Chunks from code that has made the stream flow again; they come before what is in its buffer. */
  readonly #chunks: Buffer[] = []
  readonly #missed = new Set<string>()
  readonly #wasFlowing: boolean
  readonly #allowHalfOpen: boolean | undefined
  readonly #own: readonly (readonly ['emit' | 'read', PropertyDescriptor | undefined])[]
  #taking = false

  constructor(readonly socket: Socket & { allowHalfOpen?: boolean }) {
    this.#wasFlowing = socket.readableFlowing === true
    this.#allowHalfOpen = socket.allowHalfOpen
    this.#own = (['emit', 'read'] as const).map((name) => [name, Object.getOwnPropertyDescriptor(socket, name)])
    if (this.#wasFlowing) socket.pause()
    // A FIN of the peer must not end the socket.
    socket.allowHalfOpen = true
    const emit = socket.emit.bind(socket) as (name: string | symbol, ...args: unknown[]) => boolean
    cover(socket, 'emit', (name: string | symbol, ...args: unknown[]) => {
      if (!READING.includes(name as string)) return emit(name, ...args)
      if (name !== 'data') this.#missed.add(name as string)
      else if (!this.#taking) this.#keep(args[0] as Buffer)
      return true
    })
    // A size of 0 asks the kernel, and takes nothing.
    cover(socket, 'read', (size?: number) => (size === 0 ? Socket.prototype.read.call(socket, 0) : null))
  }

  /** Returns all bytes that the socket has read. */
  take(): Buffer[] {
    const { socket } = this
    const taken = this.#chunks.splice(0)
    this.#taking = true
    while (socket.readableLength > 0) {
      const chunk: Buffer | null = Socket.prototype.read.call(socket)
      if (chunk === null) break
      taken.push(chunk)
    }
    this.#taking = false
    return taken
  }

  /** Restores the socket's methods and state. */
  giveBack(): void {
    const { socket } = this
    for (const [name, descriptor] of this.#own) {
      if (descriptor === undefined) delete (socket as Partial<Socket>)[name]
      else Object.defineProperty(socket, name, descriptor)
    }
    if (this.#allowHalfOpen !== undefined) socket.allowHalfOpen = this.#allowHalfOpen
    if (socket.destroyed) return
    const chunks = this.#chunks.splice(0)
    if (this.#missed.has('end')) {
      // The stream takes its end as delivered, and refuses unshift().
      for (const chunk of chunks) socket.emit('data', chunk)
    } else if (chunks.length > 0) {
      socket.unshift(Buffer.concat(chunks))
    }
    for (const name of this.#missed) socket.emit(name)
    if (this.#missed.has('end') && !socket.allowHalfOpen) socket.end()
    if (this.#wasFlowing) socket.resume()
  }

  #keep(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.socket.pause()
  }
}

function cover(socket: Socket, name: 'emit' | 'read', value: unknown): void {
  Object.defineProperty(socket, name, { value, configurable: true, enumerable: false, writable: true })
}
