import { Socket } from 'node:net'

/** What a stream is read by. Of the rest, errors and the close for example, its owner still hears. */
const READING = ['data', 'readable', 'end']

/**
 * @internal A socket that hands out nothing more of what it reads: not to listeners or pipes, not to whoever calls `read()`,
 * as an async iterator does. What they would have got is kept here.
 *
 * As both are done by the stream itself, as well as by `read()` from outside, its two methods are covered by others: the
 * listeners stay as they are, in case it is given back.
 */
export class QuietSocket {
  /** Of someone who has made it flow again, before what is in its buffer. */
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
    // A FIN of the peer doesn't end it.
    socket.allowHalfOpen = true
    const emit = socket.emit.bind(socket) as (name: string | symbol, ...args: unknown[]) => boolean
    cover(socket, 'emit', (name: string | symbol, ...args: unknown[]) => {
      if (!READING.includes(name as string)) return emit(name, ...args)
      if (name !== 'data') this.#missed.add(name as string)
      else if (!this.#taking) this.#hold(args[0] as Buffer)
      return true
    })
    // 0 asks the kernel, and takes nothing.
    cover(socket, 'read', (size?: number) => (size === 0 ? Socket.prototype.read.call(socket, 0) : null))
  }

  /** All that it has read. */
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

  /** As before. */
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
      // Nothing can be put back in front of an end that the stream takes for told.
      for (const chunk of chunks) socket.emit('data', chunk)
    } else if (chunks.length > 0) {
      socket.unshift(Buffer.concat(chunks))
    }
    for (const name of this.#missed) socket.emit(name)
    if (this.#missed.has('end') && !socket.allowHalfOpen) socket.end()
    if (this.#wasFlowing) socket.resume()
  }

  #hold(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.socket.pause()
  }
}

function cover(socket: Socket, name: 'emit' | 'read', value: unknown): void {
  Object.defineProperty(socket, name, { value, configurable: true, enumerable: false, writable: true })
}
