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

/** Records that `end()` with a chunk needs: the chunk, a resume, and the end. */
const END_RECORDS = 3

/**
 * The handlers of a listener's connections. All are optional; `this` is the handlers object. `T` is the type of
 * `conn.data`; without it, `data` is `unknown` and may be set to anything.
 *
 * A handler that throws is an uncaught exception, and an async one whose promise rejects is an unhandled rejection,
 * unless there is an `error` handler. In any case the other events are still delivered. Events don't wait for an async
 * handler.
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
 * Commands are executed in order, together: those of handlers when their batch, its nextTick callbacks and its promises
 * have run, others from the next `process.nextTick` on. On a connection that has closed or been destroyed they do
 * nothing and return `false`.
 *
 * @example
 * await reactor.listen({ port: 7000 }, {
 *   data(conn, chunk) { if (!conn.write(chunk)) conn.pause() },
 *   drain(conn) { conn.resume() },
 * })
 */
export class Connection<T = unknown> extends ConnectionSocket {
  // The members are `private` and not `#private`: a class with #methods marks each of its objects, and that is 8 bytes
  // of the 80 that an object costs here.

  /** The user's value; `undefined` at first. */
  data: T = undefined as T
  /** @internal */
  declare context: ConnectionContext
  /** @internal See `state.ts`. */
  state = 0
  /** @internal Bytes written, modulo 2^32. */
  submitted = 0
  /** The number of these bytes that had gone to the kernel when last looked at. */
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

  /** True if it has closed, or has been destroyed or reset and will close; `true` in its `close` handler. */
  get closed(): boolean {
    return (this.state & GONE) !== 0
  }

  /** True while `pause()` or the lack of a `data` handler stops its data, see `reactor.connect()`. */
  get paused(): boolean {
    return (this.state & PAUSED) !== 0
  }

  /** True if `end()` was called, so that nothing more can be written. */
  get writableEnded(): boolean {
    return (this.state & ENDED) !== 0
  }

  /**
   * The number of bytes that were written and have not gone to the kernel; 0 when it has closed. Broadcasts aren't
   * counted.
   */
  get writableLength(): number {
    if ((this.state & GONE) !== 0) return 0
    this.flushed = this.context.io.flushedOf(this.slot)
    return (this.submitted - this.flushed) >>> 0
  }

  /**
   * Queues bytes to send. They are never taken in part and never dropped: `false` only means that `highWaterMark` bytes
   * or more are queued now; one `drain` follows when all have gone to the kernel. Beyond `maxWriteQueue` (default 16
   * MiB; broadcasts and files count as well) the connection is destroyed with ERR_C1M_WRITE_QUEUE_FULL, also by a
   * single large write. After `end()`, or when the connection has closed, nothing is queued and `write()` returns
   * `false`. (send(2), sendmsg(2))
   *
   * After `end()` a `drain` follows as well, so that a handler that pauses on `false` continues to read up to the
   * peer's FIN: one for the first such write, and others only when a `data` handler has been called in between. So a
   * handler that writes in `drain` doesn't cause an endless loop; `writableEnded` shows it.
   *
   * Buffers of 16 KiB and more are sent from where they lie, without a copy: don't change or transfer them until
   * `drain`, or until `writableLength` is 0. Borrowed chunks, and smaller buffers, are copied immediately.
   *
   * @param chunk A string, or bytes. Anything else throws a TypeError (ERR_C1M_INVALID_ARG_TYPE).
   * @param encoding The encoding of a string. Default: `'utf8'`. One that Node doesn't have throws a TypeError
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
    // The counter is read only when it matters: it is written by the I/O thread, and reading it takes its cache line
    // away.
    if (((this.submitted - this.flushed) >>> 0) + length >= highWaterMark) {
      if (typeof chunk === 'string') length = Buffer.byteLength(chunk, encoding)
      const queued = this.writableLength + length
      if (queued > maxWriteQueue) return this.overflow(queued)
      full = queued >= highWaterMark
    }
    // The wish for a drain is part of the write's record, because nothing may fail after the write.
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
   * Queues a file, or a range of it. It is sent in order with writes before and after it, without passing through
   * JavaScript's memory. Resolves with the number of bytes that were handed to the kernel, when all have been.
   *
   * A file that can't be opened or read rejects with the system's error (ENOENT, EACCES, EISDIR, …) and leaves the
   * connection as it was; later writes follow. Anything but a regular file is ESPIPE. If the file becomes shorter while
   * it is sent, the promise rejects with ERR_C1M_FILE_TRUNCATED, and the connection is reset, because its peer must not
   * take the part for the whole; `close` gets the same error. Rejects with the connection's error, or
   * ERR_C1M_CONNECTION_CLOSED, if the connection closes or was ended before; with `signal.reason` when aborted, in
   * which case the connection is reset if part of the file had been sent (`close` gets ERR_C1M_FILE_ABORTED), and
   * usable otherwise. Rejects with a TypeError (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE) or RangeError
   * (ERR_C1M_OUT_OF_RANGE) for bad arguments.
   *
   * Files aren't in `writableLength`; `drain` waits for them. Each waiting file counts as 2 KiB for `maxWriteQueue`:
   * one too many rejects with ERR_C1M_WRITE_QUEUE_FULL, and destroys the connection with it. (sendfile(2))
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
   * Ends the local side: sends what is queued, then `chunk`, then a FIN. Data is still received until the peer's FIN,
   * and then the connection closes. Returns `false` if it had been ended or closed before; `chunk` isn't sent then.
   * Throws as `write()` does. (shutdown(2) with SHUT_WR)
   *
   * @example
   * conn.end('bye\n')
   */
  end(chunk?: string | Uint8Array, encoding?: BufferEncoding): boolean {
    if ((this.state & CANNOT_WRITE) !== 0) {
      if (chunk !== undefined) checkChunk(chunk, encoding ?? 'utf8')
      return false
    }
    if (chunk !== undefined) {
      // Both are queued, or neither: a caller that tries again would send the chunk twice.
      this.context.io.commands.makeReady(END_RECORDS)
      this.write(chunk, encoding)
    }
    this.beginReading()
    // The chunk may have exceeded the limit, which destroys the connection.
    const goes = (this.state & GONE) === 0 && this.command(layout.COMMAND_END)
    this.state |= ENDED
    return goes
  }

  /**
   * Drops what is queued and closes; `close` is called with this error. Returns `false` if it had been destroyed, reset
   * or closed before. Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE) if that isn't an Error. Bytes that the kernel has
   * taken are still sent. (close(2))
   *
   * @example
   * conn.destroy(new Error('protocol violation'))
   */
  destroy(error?: Error): boolean {
    if (error !== undefined && !isError(error)) throw invalidType('error', 'an Error', error)
    return this.close(layout.COMMAND_DESTROY, error)
  }

  /**
   * Works like `destroy()`, but the peer gets a RST; bytes that the kernel has taken are dropped. On a Unix socket it
   * is an ordinary close. Returns `false` if it had been destroyed, reset or closed before.
   * (SO_LINGER with a time of 0, socket(7))
   */
  reset(): boolean {
    return this.close(layout.COMMAND_RESET)
  }

  /**
   * Delivers no `data` and no `end` until `resume()`, not even events in flight. The kernel's buffers fill, and then
   * the peer has to wait. Its FIN isn't read either; its reset closes the connection, and buffered events are dropped.
   * Returns `false` if no further `data` or `end` may come: it is being relayed, or has closed.
   *
   * @example
   * conn.pause()
   * setTimeout(() => conn.resume(), 100)
   */
  pause(): boolean {
    // A connection that has closed can still be paused while its buffered events are being delivered.
    if (isOver(this.state)) return false
    this.state &= ~UNCLAIMED
    if ((this.state & PAUSED) !== 0) return true
    this.command(layout.COMMAND_PAUSE)
    this.state |= PAUSED
    return true
  }

  /** Undoes `pause()`. Events that came meanwhile are delivered soon, in order. Returns `false` when `pause()` does. */
  resume(): boolean {
    if ((this.state & (DESTROYED | RELAYED)) !== 0 || (this.state & (CLOSED | BUFFERING)) === CLOSED) return false
    if ((this.state & PAUSED) === 0) return (this.state & CLOSED) === 0
    if ((this.state & POOL_PAUSED) === 0) this.readOn()
    this.state &= ~(PAUSED | UNCLAIMED)
    return true
  }

  /** @internal Starts reading, if only the lack of a `data` handler has stopped it. */
  beginReading(): void {
    if ((this.state & UNCLAIMED) !== 0) this.resume()
  }

  /** @internal Stops reading, or continues when no pool pauses it any more; independent of `pause()` and `resume()`. */
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
   * Changes how the connection's bytes are cut into frames, for example after a handshake. All bytes behind the chunk
   * that `data` was given last are cut again, also those received already; without a framing, bytes come as they
   * arrive. It takes effect exactly there, at the price of a round trip to the I/O thread, during which nothing is
   * delivered. After `end()`, or when the connection has closed, it does nothing and returns `false`. Throws a
   * TypeError (ERR_C1M_INVALID_ARG_TYPE) for anything but a framing and bytes.
   *
   * @param rest The rest of the last chunk, which comes first. Copied.
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
   * Gives the connection to `node:net`, with nothing lost: resolves with a `net.Socket` that first reads what `data`
   * has not been given and first sends what the kernel hasn't taken. If this connection was ended, `end()` is called on
   * the socket. If the peer's FIN has come, the socket emits `end`, even if this connection's handler was called as
   * well. The socket reads nothing until it has a listener or pipe (`data`, `readable`, `pipe`), as after
   * `pauseOnConnect`.
   *
   * From the call on, `write()` and `end()` return `false`, and no handler but `drain` is called before `close`, which
   * is called once, without an error, before the promise resolves. (fcntl(2) with F_DUPFD_CLOEXEC)
   *
   * Rejects with ERR_C1M_CONNECTION_CLOSED if the connection has closed or been destroyed, before or meanwhile, or is
   * being detached; and with the system's error: EMFILE for lack of a descriptor, ENOMEM for lack of memory, EBUSY
   * while a file is being sent (wait for the promise of `sendFile()`, or write the rest to the socket), or the one that
   * the last write failed with. Then the connection is here as before, and events that came meanwhile are delivered.
   * Rejects with a TypeError (ERR_C1M_INVALID_ARG_VALUE) if it is being relayed, or has a framing: remove that with
   * `setFraming(undefined)`, and wait for a chunk.
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

  /** @internal True if it can be moved to another I/O thread now without any visible effect. */
  get movable(): boolean {
    return (this.state & (GONE | RELAYED | DETACHING | REFRAMING)) === 0
  }

  /**
   * Handles a write after `end()`. A `drain` is asked for at most once for each delivered chunk, of whichever
   * connection.
   */
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

  /** @internal Closes the connection, by COMMAND_DESTROY or COMMAND_RESET. */
  close(command: number, error?: Error): boolean {
    if ((this.state & DESTROYED) !== 0) return false
    if ((this.state & CLOSED) !== 0) return this.dropBuffered(error)
    if (error !== undefined) destroyReasons.set(this, error)
    if ((this.state & RELAYED) !== 0) relaySides.get(this)?.destroyed(command === layout.COMMAND_RESET)
    // The command may throw: then close() can be called again.
    this.command(command)
    this.state |= DESTROYED
    return true
  }

  /** Destroys a connection that has closed in the kernel while events were buffered: they are dropped. */
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
