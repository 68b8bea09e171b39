import type { Socket } from 'node:net'
import { invalidType, invalidValue, notMade, queueFull } from '../base/errors.js'
import { needMoreStack } from '../base/stack.js'
import { checkChunk, isError } from '../base/validate.js'
import type { ContextOf } from '../io/connection-context.js'
import type { Listener } from '../listener.js'
import * as layout from '../native/layout.js'
import type { Framing } from '../options/framing.js'
import type { HandlersOf } from '../options/handlers.js'
import { bufferedEvents, destroyReasons, leaving, refusedAt, relaySides } from './connection-notes.js'
import { ConnectionSocket } from './connection-socket.js'
import { chunksDelivered, closeReplayed, drainClosed, replay, shutdown } from './delivery.js'
import { cannotDetach, detach } from './detach.js'
import { checkReframe, isFramed, reframe } from './reframing.js'
import { type FileSource, type SendFileOptions, sendFile } from './send-file.js'
import {
  BUFFERING,
  CANNOT_WRITE,
  CLOSED,
  DESTROYED,
  DETACHING,
  DRAIN_WANTED,
  ENDED,
  GONE,
  isOver,
  PAUSED,
  POOL_PAUSE,
  POOL_PAUSED,
  REFRAMING,
  RELAYED,
  SHUT_DOWN,
  UNCLAIMED,
} from './state.js'

/** Of `end()` with a chunk: that, one to be read, and the end. */
const END_RECORDS = 3

/**
 * What a listener does with its connections. All handlers are optional; `this` is the handlers object. `T` is the
 * type of `conn.data`; without it, anything may be put there, and what is read is `unknown`.
 *
 * A handler that throws is an uncaught exception, and an async one whose promise rejects an unhandled rejection, unless
 * there is an `error` handler. In any case the other events are still delivered. Nothing waits for an async handler.
 *
 * @example
 * const handlers: Handlers<{ messages: number }> = {
 *   open(conn) { conn.data = { messages: 0 } },
 *   data(conn, chunk) { conn.data.messages++ },
 *   close(conn, error) { console.log(conn.data.messages, error?.code) },
 *   error(conn, error) { conn.destroy(error) },
 * }
 */
export interface Handlers<T = unknown> extends HandlersOf<Connection<T>> {}

/** @internal */
export type ConnectionContext = ContextOf<Connection<unknown>>

/** @internal */
export let makeConnection: (slot: number, generation: number, context: ConnectionContext) => Connection<unknown>

/**
 * One TCP or Unix connection. Handlers receive it; `reactor.connections.get(id)` finds it.
 *
 * Commands are carried out in order, together: those of handlers when their batch, its nextTick callbacks and its
 * promises have run, others from the next `process.nextTick` on. On a connection that has closed or been destroyed they
 * do nothing and answer `false`.
 *
 * @example
 * await reactor.listen({ port: 7000 }, {
 *   data(conn, chunk) { if (!conn.write(chunk)) conn.pause() },
 *   drain(conn) { conn.resume() },
 * })
 */
export class Connection<T = unknown> extends ConnectionSocket {
  // `private` and not `#private`: a class with #methods marks each of its objects, and that is 8 bytes of the 80 that an
  // object costs here.

  /** Yours; `undefined` at first. */
  data: T = undefined as T
  /** @internal */
  declare context: ConnectionContext
  /** @internal See `state.ts`. */
  state = 0
  /** @internal Bytes written, modulo 2^32. */
  submitted = 0
  /** How many of these had gone to the kernel when last looked at. */
  private flushed = 0

  private constructor(slot: number, generation: number, context: ConnectionContext) {
    if (context === undefined) throw notMade('Connection', 'reactor.listen(), connect() or adopt()')
    super(slot, generation, context)
    if (context.paused) this.state = PAUSED | UNCLAIMED
  }

  /** The listener that accepted it; `undefined` for an outgoing connection. */
  get listener(): Listener<T> | undefined {
    return this.context.listener as Listener<T> | undefined
  }

  /** Whether it has closed, or been destroyed or reset and will; `true` in its `close` handler. */
  get closed(): boolean {
    return (this.state & GONE) !== 0
  }

  /** Whether `pause()` holds back its data, or the want of a `data` handler does, see `reactor.connect()`. */
  get paused(): boolean {
    return (this.state & PAUSED) !== 0
  }

  /** Whether `end()` was called, so that nothing more can be written. */
  get writableEnded(): boolean {
    return (this.state & ENDED) !== 0
  }

  /** Bytes that were written and have not gone to the kernel; 0 when it has closed. Broadcasts aren't in it. */
  get writableLength(): number {
    if ((this.state & GONE) !== 0) return 0
    this.flushed = this.context.io.flushedOf(this.slot)
    return (this.submitted - this.flushed) >>> 0
  }

  /**
   * Queues bytes to send. Never partly, never dropped: all are accepted, and `false` only says that `highWaterMark`
   * bytes or more are queued now; one `drain` follows when all have gone to the kernel. Beyond `maxWriteQueue` (default
   * 16 MiB; broadcasts and files count as well) the connection is destroyed with ERR_C1M_WRITE_QUEUE_FULL, also by a single
   * large write. After `end()`, or
   * when it has closed, nothing is queued and the answer is `false`. (send(2), sendmsg(2))
   *
   * After `end()` a `drain` follows as well, so that a handler that pauses on `false` reads on to the peer's FIN: one
   * for the first such write, and others only when a `data` handler has been called in between. So a handler that
   * writes in `drain` doesn't go round in circles; `writableEnded` tells it.
   *
   * Buffers of 16 KiB and more are sent from where they lie, without a copy: don't change or transfer them until
   * `drain`, or until `writableLength` is 0. Borrowed chunks, and smaller buffers, are copied at once.
   *
   * @param chunk A string, or bytes. Anything else throws a TypeError (ERR_C1M_INVALID_ARG_TYPE).
   * @param encoding Of a string. Default: `'utf8'`. One that Node doesn't have throws a TypeError
   *   (ERR_C1M_INVALID_ARG_VALUE).
   * @example
   * if (!conn.write('hello\n')) conn.pause() // and resume in `drain`
   */
  write(chunk: string | Uint8Array, encoding: BufferEncoding = 'utf8'): boolean {
    if ((this.state & CANNOT_WRITE) !== 0) {
      checkChunk(chunk, encoding)
      return this.refuse()
    }
    const commands = this.context.io.commands
    const { highWaterMark, maxWriteQueue } = this.context
    checkChunk(chunk, encoding)
    let length = typeof chunk === 'string' ? chunk.length * 3 : chunk.length
    let full = false
    // The counter of flushed bytes is the I/O thread's, and reading it takes its cache line away: only when it matters.
    if (((this.submitted - this.flushed) >>> 0) + length >= highWaterMark) {
      if (typeof chunk === 'string') length = Buffer.byteLength(chunk, encoding)
      const queued = this.writableLength + length
      if (queued > maxWriteQueue) return this.overflow(queued)
      full = queued >= highWaterMark
    }
    // With it goes what follows from it, as nothing must fail behind it.
    const wish = full && (this.state & DRAIN_WANTED) === 0 ? layout.DRAIN_WISH : 0
    if (typeof chunk === 'string') {
      length = commands.writeString(this.slot, this.generation, chunk, encoding, maxWriteQueue, wish)
    } else {
      commands.write(this.slot, this.generation, chunk, maxWriteQueue, wish)
    }
    this.submitted = (this.submitted + length) | 0
    if (full) this.state |= DRAIN_WANTED
    return !full
  }

  /**
   * Queues a file, or a range of it: sent in order with what is written before and after, without passing through
   * JavaScript's memory. Resolves with the number of bytes that were handed to the kernel, when they all have been.
   *
   * A file that can't be opened or read rejects with the system's error (ENOENT, EACCES, EISDIR, …) and leaves the
   * connection as it was; what was written after it follows. Anything but a regular file is ESPIPE. If it becomes shorter while it is sent the
   * promise rejects with ERR_C1M_FILE_TRUNCATED, and the connection is reset, as its peer must not take the part for
   * the whole; `close` gets the same error. Rejects with the connection's error, or ERR_C1M_CONNECTION_CLOSED, if that
   * closes or was ended before; with `signal.reason` when aborted, and then the connection is reset if part of the file had gone out
   * (`close` gets ERR_C1M_FILE_ABORTED) and usable otherwise. Rejects with a TypeError (ERR_C1M_INVALID_ARG_TYPE,
   * ERR_C1M_INVALID_ARG_VALUE) or RangeError (ERR_C1M_OUT_OF_RANGE) for bad arguments.
   *
   * Files aren't in `writableLength`; `drain` waits for them. For `maxWriteQueue` each that waits counts with 2 KiB: one too
   * many rejects with ERR_C1M_WRITE_QUEUE_FULL, and destroys the connection with it. (sendfile(2))
   *
   * @param source A path, a `file:` URL, a FileHandle, or a descriptor. A descriptor is duplicated before this returns:
   *   you may close yours. Its position is neither used nor moved.
   * @example
   * conn.write('HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n')
   * await conn.sendFile('video.mp4', { start: 0, end: 1 << 20 }) // the first MiB
   */
  sendFile(source: FileSource, options?: SendFileOptions): Promise<number> {
    const { context, slot, generation } = this
    return sendFile({ conn: this, context, slot, generation, open: (this.state & CANNOT_WRITE) === 0 }, source, options)
  }

  /**
   * Ends our side: sends what is queued, and `chunk` with it, then a FIN. Data is still received until the peer's FIN,
   * and then the connection closes. `false` if it had been ended or closed before; `chunk` isn't sent then. Throws as
   * `write()` does. (shutdown(2))
   */
  end(chunk?: string | Uint8Array, encoding?: BufferEncoding): boolean {
    if ((this.state & CANNOT_WRITE) !== 0) {
      if (chunk !== undefined) checkChunk(chunk, encoding ?? 'utf8')
      return false
    }
    if (chunk !== undefined) {
      // Both, or neither: who calls again would send the chunk twice.
      this.context.io.commands.makeReady(END_RECORDS)
      this.write(chunk, encoding)
    }
    this.beginReading()
    // The chunk may have gone over the limit, and the connection with it.
    const goes = (this.state & GONE) === 0 && this.command(layout.COMMAND_END)
    this.state |= ENDED
    return goes
  }

  /**
   * Drops what is queued and closes; `close` is called with this error. Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE)
   * if that isn't an Error. What the kernel has taken is still sent. (close(2))
   */
  destroy(error?: Error): boolean {
    if (error !== undefined && !isError(error)) throw invalidType('error', 'an Error', error)
    return this.close(layout.COMMAND_DESTROY, error)
  }

  /**
   * Like `destroy()`, and the peer gets a RST; what the kernel has taken is dropped. On a Unix socket an ordinary
   * close. (SO_LINGER with a time of 0, socket(7))
   */
  reset(): boolean {
    return this.close(layout.COMMAND_RESET)
  }

  /**
   * Delivers no `data` and no `end` until `resume()`, not even what is on its way. The kernel's buffers fill, and
   * then the peer has to wait. Its FIN isn't read either; its reset closes the connection, and what is held back is
   * dropped.
   */
  pause(): boolean {
    // One that has closed is still to be held up while it hears of what came before.
    if (isOver(this.state)) return false
    this.state &= ~UNCLAIMED
    if ((this.state & PAUSED) !== 0) return true
    this.command(layout.COMMAND_PAUSE)
    this.state |= PAUSED
    return true
  }

  /** Takes back `pause()`. What came meanwhile is delivered soon, in order. */
  resume(): boolean {
    if ((this.state & (DESTROYED | RELAYED)) !== 0 || (this.state & (CLOSED | BUFFERING)) === CLOSED) return false
    if ((this.state & PAUSED) === 0) return (this.state & CLOSED) === 0
    if ((this.state & POOL_PAUSED) === 0) this.readOn()
    this.state &= ~(PAUSED | UNCLAIMED)
    return true
  }

  /** @internal Its bytes may come, if nothing but the want of a `data` handler has held them back. */
  beginReading(): void {
    if ((this.state & UNCLAIMED) !== 0) this.resume()
  }

  /** @internal Stops reading it, or goes on when all that stopped it have, besides what `pause()` and `resume()` do. */
  pauseForPool(pause: boolean): void {
    const state = this.state + (pause ? POOL_PAUSE : -POOL_PAUSE)
    const changes = ((state & POOL_PAUSED) !== 0) !== ((this.state & POOL_PAUSED) !== 0)
    if (changes && !isOver(this.state)) {
      if (pause) this.command(layout.COMMAND_PAUSE)
      else if ((this.state & PAUSED) === 0) this.readOn()
    }
    this.state = state
  }

  private readOn(): void {
    this.command(layout.COMMAND_RESUME)
    if ((this.state & BUFFERING) !== 0) this.later(() => replay(this))
  }

  /**
   * Changes how its bytes are cut into frames, for example after a handshake: everything behind the chunk that `data`
   * has got last is cut anew, also what has been received already; without a framing, it comes as it comes. It takes
   * effect exactly there, at the price of a round trip to the I/O thread, during which nothing is delivered.
   * After `end()`, or when it has closed, it does nothing and answers `false`. Throws a TypeError
   * (ERR_C1M_INVALID_ARG_TYPE) for anything but a framing and bytes.
   *
   * @param rest What is left of the last chunk: it comes first. Copied.
   * @example
   * data(conn, chunk) {
   *   const end = chunk.indexOf('\r\n\r\n')
   *   conn.setFraming(lengthPrefixed({ bytes: 4 }), chunk.subarray(end + 4))
   * }
   */
  setFraming(framing: Framing | undefined, rest?: Uint8Array): boolean {
    checkReframe(framing, rest)
    if ((this.state & CANNOT_WRITE) !== 0) return false
    this.context.io.commands.makeReady()
    if (!reframe(this, this.context.framing, framing, rest, bufferedEvents.get(this))) return true
    this.state |= REFRAMING
    return this.command(layout.COMMAND_REFRAME)
  }

  /**
   * Gives the connection to `node:net`, with nothing lost: resolves with a `net.Socket` that reads first what `data` has
   * not been called with, sends first what the kernel hasn't taken, has `end()` called on it if this connection had, and
   * emits `end` if the peer's FIN has come, though this connection's handler may have been called as well. It reads
   * nothing until it is listened to (`data`, `readable`, `pipe`), as after `pauseOnConnect`.
   *
   * From the call on, `write()` and `end()` answer `false`, and no handler but `drain` is called, until `close` is:
   * once, without an error, before the promise resolves. (fcntl(2) with F_DUPFD_CLOEXEC)
   *
   * Rejects with ERR_C1M_CONNECTION_CLOSED if the connection has closed or been destroyed, before or meanwhile, or is
   * being detached; and with the system's error EMFILE for want of a descriptor, ENOMEM for want of memory, EBUSY while
   * a file is being sent (wait for the promise of `sendFile()`, or write the rest to the socket), or the one that the
   * last write failed with; then the connection is here as before, and hears of what came meanwhile. With a TypeError
   * (ERR_C1M_INVALID_ARG_VALUE) if it is being relayed, or has a framing: take that off with `setFraming(undefined)`, and
   * wait for a chunk.
   *
   * @example
   * const socket = await conn.detach()
   * socket.pipe(process.stdout)
   */
  async detach(): Promise<Socket> {
    const { here } = this
    if (here === undefined || (this.state & DETACHING) !== 0) throw cannotDetach()
    if ((this.state & RELAYED) !== 0) throw invalidValue("A connection that is being relayed can't be detached")
    if (isFramed(this, this.context.framing)) throw invalidValue("A connection that has a framing can't be detached")
    needMoreStack()
    this.state |= DETACHING
    return detach(here, this.context.allowHalfOpen, {
      left: (detachment) => leaving.set(this, detachment),
      stays: () => {
        this.state &= ~DETACHING
        if ((this.state & BUFFERING) !== 0) this.later(() => replay(this))
        if ((this.state & SHUT_DOWN) !== 0) shutdown(this)
      },
    })
  }

  /** @internal Whether it may go to another I/O thread now, without anybody's knowing. */
  get movable(): boolean {
    return (this.state & (GONE | RELAYED | DETACHING | REFRAMING)) === 0
  }

  /** A write after `end()`. Each `drain` that it asks for has been paid for by a chunk, of whichever connection. */
  private refuse(): false {
    const chunks = chunksDelivered()
    if (!isOver(this.state) && refusedAt.get(this) !== chunks) {
      refusedAt.set(this, chunks)
      this.wantDrain()
    }
    return false
  }

  private wantDrain(): void {
    if ((this.state & DRAIN_WANTED) !== 0) return
    if ((this.state & CLOSED) === 0) this.command(layout.COMMAND_WANT_DRAIN)
    else this.later(() => drainClosed(this))
    this.state |= DRAIN_WANTED
  }

  private overflow(bytes: number): false {
    this.destroy(queueFull(bytes, this.context.maxWriteQueue))
    return false
  }

  /** @internal By COMMAND_DESTROY or COMMAND_RESET. */
  close(command: number, error?: Error): boolean {
    if ((this.state & DESTROYED) !== 0) return false
    if ((this.state & CLOSED) !== 0) return this.dropBuffered(error)
    if (error !== undefined) destroyReasons.set(this, error)
    if ((this.state & RELAYED) !== 0) relaySides.get(this)?.destroyed(command === layout.COMMAND_RESET)
    // It may throw: then this can be called again.
    this.command(command)
    this.state |= DESTROYED
    return true
  }

  /** It has closed in the kernel, while what came before was held back: destroying it is to give that up. */
  private dropBuffered(error?: Error): boolean {
    if ((this.state & BUFFERING) === 0) return false
    this.later(() => closeReplayed(this, error))
    this.state |= DESTROYED
    return true
  }

  static {
    makeConnection = (slot, generation, context) => new Connection(slot, generation, context)
  }
}
