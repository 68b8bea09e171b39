import type { Socket } from 'node:net'
import { type Connection, delimited, type Framing, type Handlers, lengthPrefixed, writeFrame } from 'c1m'
import type { Far } from './far.js'
import { type Cut, Outbox, recordOf, type Stream } from './wire.js'

export const FRAMINGS: Readonly<Record<Exclude<Cut, 'bytes'>, Framing>> = {
  length: lengthPrefixed({ bytes: 4 }),
  newline: delimited('\n'),
}

/** The error that the matrix throws in handlers. */
export class Thrown extends Error {}

/** The model of a connection of the reactor: its state, as far as JavaScript knows it, and the events that may come. */
export class Near {
  conn!: Connection<Near>
  far!: Far
  readonly outbox = new Outbox()
  cut: Cut = 'bytes'
  /** The number of bytes of its peer's stream that were delivered. */
  position = 0
  opens = 0
  closes = 0
  closedWith: (Error & { readonly code?: string })[] = []
  /** True if `end()` was called. */
  endedHere = false
  /** True if the library ends it after its peer's end: immediately, or when its tasks are done. */
  endsItself = false
  tasks = 0
  /** True if it was destroyed or reset, for this reason. */
  gone = false
  reason: Error | undefined
  paused = false
  endSeen = false
  /** True while `detach()` is in progress. */
  leaving = false
  stayed = false
  /** True while `adopt()` of its socket is in progress. */
  adopting = false
  /** The socket as which it has been detached. */
  socket: Socket | undefined
  /** The other side of its relay. */
  relayed: Near | undefined
  /** True if the next handler throws. */
  throwNext = false
  thrown = 0
  /** Called in the handler that gets the end of the peer's first bytes. */
  onHello: (() => void) | undefined
  helloEnd = Number.POSITIVE_INFINITY
  /** Codes that `close` may get. */
  readonly allowed = new Set<string>()

  constructor(
    readonly halfOpen: boolean,
    readonly stream: Stream,
    readonly fail: (what: string) => void,
  ) {}

  get open(): boolean {
    return this.opens > this.closes && !this.gone && !this.conn.closed
  }

  /** True if the reactor's side was ended. */
  get ended(): boolean {
    return (
      this.endedHere || (this.endsItself && (this.tasks === 0 || this.socket !== undefined || this.conn.writableEnded))
    )
  }

  /** Counts a task until its result was delivered: the library does not end the connection before. */
  async during<T>(task: Promise<T>): Promise<T> {
    this.tasks++
    try {
      return await task
    } finally {
      setImmediate(() => this.tasks--)
    }
  }

  /** True if a write is accepted. */
  get writable(): boolean {
    return this.open && !this.ended && !this.leaving && this.relayed === undefined
  }

  /** True if the connection and its sockets have closed. */
  get over(): boolean {
    return (
      this.opens > 0 &&
      this.closes === this.opens &&
      !this.adopting &&
      (this.socket === undefined || this.socket.closed)
    )
  }

  get state(): string {
    const { opens, closes, ended, gone, paused, endSeen, leaving, position, outbox, closedWith } = this
    const codes = closedWith.map(({ code, message }) => code ?? message)
    const more = {
      socket: this.socket !== undefined,
      relayed: this.relayed !== undefined,
      missing: outbox.missing,
      codes,
    }
    const far = this.far && {
      sent: this.far.sent,
      ended: this.far.ended,
      endSeen: this.far.endSeen,
      closed: this.far.closed,
    }
    return JSON.stringify({ opens, closes, ended, gone, paused, endSeen, leaving, position, ...more, far })
  }

  expect(holds: boolean, what: string): void {
    if (!holds) this.fail(what)
  }

  /** Sends a record, by the connection or the detached socket. */
  send(feature: string, number: number, length: number): void {
    const bytes = recordOf(feature, number, length)
    if (this.socket !== undefined) {
      if (this.ended || !this.socket.writable) return
      this.outbox.accepted(bytes)
      this.socket.write(bytes)
      return
    }
    const { writable, cut } = this
    const took = cut === 'bytes' ? this.conn.write(bytes) : writeFrame(this.conn, FRAMINGS[cut], bytes)
    if (!writable) this.expect(!took, 'a write that came too late was taken')
    else this.outbox.accepted(cut === 'bytes' ? bytes : FRAMINGS[cut].encode(bytes))
  }

  end(): void {
    if (this.socket !== undefined) {
      this.endedHere = true
      this.socket.end()
      return
    }
    const { writable } = this
    this.expect(this.conn.end() === writable, `end() of one that is ${writable ? 'open' : 'not'}`)
    if (writable) this.endedHere = true
  }

  destroy(reason: Error): void {
    if (this.socket !== undefined) {
      this.gone = true
      this.socket.destroy()
      return
    }
    if (this.conn.destroy(reason) && !this.gone) {
      this.gone = true
      this.reason = reason
    }
  }

  reset(): void {
    if (this.socket !== undefined) {
      this.gone = true
      this.socket.resetAndDestroy()
    } else if (this.conn.reset()) this.gone = true
  }

  pause(): void {
    if (this.socket !== undefined) return
    if (this.conn.pause()) this.paused = true
  }

  resume(): void {
    this.paused = false
    if (this.socket === undefined) this.conn.resume()
  }

  /** Continues with a detached socket. */
  became(socket: Socket): void {
    this.socket = socket
    socket.on('data', (chunk) => this.got(chunk))
    socket.on('end', () => {
      this.endSeen = true
      if (!this.halfOpen) this.endsItself = true
    })
    socket.on('error', (error: Error & { readonly code?: string }) => this.closedWith.push(error))
  }

  /** Checks delivered bytes, or a frame of them. */
  got(chunk: Buffer): void {
    const { bytes } = this.stream
    const header = Buffer.alloc(this.cut === 'length' ? 4 : 0)
    if (header.length > 0) header.writeUInt32BE(chunk.length)
    const tail = this.cut === 'newline' ? Buffer.from('\n') : Buffer.alloc(0)
    const whole = this.cut === 'bytes' ? chunk : Buffer.concat([header, chunk, tail])
    const expected = bytes.subarray(this.position, this.position + whole.length)
    const fits = this.position + whole.length <= this.far.sent && whole.equals(expected)
    this.expect(fits, `wrong bytes: ${chunk.length} as ${this.cut} at ${this.position} of ${this.far.sent}`)
    if (this.cut !== 'bytes') this.expect(this.stream.ends.includes(this.position), 'a frame that begins within one')
    this.position += whole.length
  }

  /** Called at the end of each handler. */
  handled(): void {
    if (!this.throwNext) return
    this.throwNext = false
    this.thrown++
    throw new Thrown('on purpose')
  }

  /** Called for each event: it means that `detach()` is going to reject, because the connection stays. */
  #noteEvent(): void {
    this.stayed ||= this.leaving
    this.leaving = false
  }

  data(chunk: Buffer): void {
    this.#noteEvent()
    this.expect(!this.gone, 'data behind destroy()')
    this.expect(!this.paused, 'data in a pause')
    this.expect(!this.endSeen, 'data behind the end')
    this.expect(this.relayed === undefined && this.socket === undefined, 'data of one that is relayed or detached')
    this.got(chunk)
    if (this.position >= this.helloEnd) {
      const { onHello } = this
      this.onHello = undefined
      onHello?.()
    }
  }

  endCame(): void {
    this.#noteEvent()
    this.expect(!this.endSeen && !this.paused && !this.gone, 'an end twice, in a pause, or behind destroy()')
    this.expect(this.relayed === undefined && this.socket === undefined, 'an end of one that is relayed or detached')
    this.expect(this.position === this.far.sent, `an end at ${this.position} of ${this.far.sent}`)
    this.endSeen = true
  }

  closed(error: Error | undefined): void {
    this.closes++
    this.paused = false
    if (error !== undefined) this.closedWith.push(error)
  }
}

/** One object for all connections, so that adopted ones share their settings. */
export const HANDLERS: Handlers<Near> = {
  data(conn, chunk) {
    conn.data.data(chunk)
    conn.data.handled()
  },
  drain(conn) {
    conn.data.handled()
  },
  end(conn) {
    const near = conn.data
    near.endCame()
    // The library ends the connection when this handler has returned or thrown.
    if (!near.halfOpen) near.endsItself = true
    near.handled()
  },
  shutdown(conn) {
    const near = conn.data
    near.resume()
    if (near.writable) near.end()
    near.handled()
  },
  close(conn, error) {
    conn.data.closed(error)
    conn.data.handled()
  },
}
