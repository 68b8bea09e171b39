import { invalidType, notMade } from '../../base/errors.js'
import { isBytes } from '../../base/validate.js'
import { loopWriter } from '../../native/binding.js'

/** @internal What a thread needs to know of a connection of another thread's; it can be cloned. */
export interface ConnectionHandle {
  readonly loop: number
  readonly slot: number
  readonly generation: number
  readonly maxWriteQueue: number
}

/** @internal */
export let makeRemoteConnection: (handle: ConnectionHandle) => RemoteConnection

/**
 * A connection of another thread, as a task of a `WorkerPool` gets it: it can be written to, and nothing else. What is
 * written goes straight to the connection's I/O thread, and costs the thread that owns the connection nothing.
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
   * Queues bytes to send; copied. Those of one thread stay in order. Between those of this thread and what the connection's
   * own thread writes there is no order, but for what the one has heard of the other: what a task has written when `run()`
   * resolves goes before an `end()` behind that. They are not in `conn.writableLength`, and cause no `drain`; beyond
   * `maxWriteQueue`, counting all that waits, the connection is destroyed with ERR_C1M_WRITE_QUEUE_FULL.
   *
   * `false`, and nothing is sent, if its reactor has ended, or while 16 MiB from such threads wait for its I/O thread, each
   * write with 96 bytes besides its own. If the connection has closed, or been ended, relayed or detached, it is `true`, as
   * nobody here can know, and nothing is sent either.
   *
   * Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE) for anything but a string, which is sent as UTF-8, and bytes. (send(2))
   */
  write(chunk: string | Uint8Array): boolean {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    if (!isBytes(bytes)) throw invalidType('chunk', 'a string, a Buffer or a Uint8Array', chunk)
    if (bytes.length === 0) return true
    const { loop, slot, generation, maxWriteQueue } = this.#handle
    return loopWriter(loop, slot, generation, maxWriteQueue, bytes)
  }
}
