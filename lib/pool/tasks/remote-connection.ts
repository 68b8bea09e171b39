import { invalidType, notMade } from '../../base/errors.js'
import { isBytes } from '../../base/validate.js'
import { loopWriter } from '../../native/binding.js'

/** @internal The data that a thread needs of a connection of another thread; it can be cloned. */
export interface ConnectionHandle {
  readonly loop: number
  readonly slot: number
  readonly generation: number
  readonly maxWriteQueue: number
}

/** @internal */
export let makeRemoteConnection: (handle: ConnectionHandle) => RemoteConnection

/**
 * A connection of another thread, as a task of a `WorkerPool` gets it: it can only be written to. Writes go straight to
 * the connection's I/O thread, and cost the thread that owns the connection nothing.
 */
export class RemoteConnection {
  readonly #handle: ConnectionHandle

  private constructor(handle: ConnectionHandle) {
    if (handle === undefined) throw notMade('RemoteConnection', 'a WorkerPool, for its task')
    this.#handle = handle
  }

  static {
    makeRemoteConnection = (handle) => new RemoteConnection(handle)
  }

  /**
   * Queues bytes to send; copied. Writes of one thread stay in order. Writes of this thread and of the connection's own
   * thread have no order, unless one thread has been notified by the other: a task's writes before `run()` resolves go
   * before an `end()` after that. They are not in `conn.writableLength`, and cause no `drain`; beyond `maxWriteQueue`,
   * counting all that waits, the connection is destroyed with ERR_C1M_WRITE_QUEUE_FULL.
   *
   * Returns `false`, and sends nothing, if the connection's reactor has ended, or while 16 MiB from such threads wait
   * for its I/O thread; each write counts 96 bytes in addition to its own. If the connection has closed, or been ended,
   * relayed or detached, it returns `true`, because this thread can't know, and sends nothing either.
   *
   * Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE) for anything but a string, which is sent as UTF-8, and bytes.
   * (send(2))
   */
  write(chunk: string | Uint8Array): boolean {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    if (!isBytes(bytes)) throw invalidType('chunk', 'a string, a Buffer or a Uint8Array', chunk)
    if (bytes.length === 0) return true
    const { loop, slot, generation, maxWriteQueue } = this.#handle
    return loopWriter(loop, slot, generation, maxWriteQueue, bytes)
  }
}
