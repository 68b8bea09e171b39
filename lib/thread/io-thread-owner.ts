import type { AsyncResource } from 'node:async_hooks'
import type { Moves, Pending } from '../base/pending.js'
import type { ConnectionContext } from '../connection/connection.js'
import type { MovedIds } from '../connection/moved-ids.js'
import type { InFlight } from '../io/in-flight.js'

/** The part of its reactor that an I/O thread needs. */
export interface IoThreadOwner {
  /** The part of a thread's name before its number. */
  readonly threadNames: string
  readonly maxConnections: number
  /**
   * The number of connections on all of the reactor's threads. It is for the core, which counts differently from
   * JavaScript.
   */
  readonly connectionCount: Uint32Array
  /** The CPU of each I/O thread, -1 for any. */
  readonly cpus: readonly number[]
  readonly level: boolean
  readonly ownFileTable: boolean
  readonly poisonBorrowed: boolean
  readonly moved: MovedIds
  /** The async context of the events. */
  readonly scope: AsyncResource
  /** The operations that take several requests, of all I/O threads. */
  readonly operations: Pending
  /** The connections that are being moved from one of its threads to another. */
  readonly moves: Moves
  /** The requests and bytes in flight to its threads. */
  readonly inFlight: InFlight
  /** Called when something began, or ended, that should keep the process alive. */
  ref(): void
  unref(): void
  /** Called when a request was sent, or its reply came: it keeps the process alive in any case. */
  asked(): void
  replied(): void
  /** Called when no further event of this context can come. */
  contextGone(index: number, context: ConnectionContext): void
  /** Called when a connection has closed. */
  connectionClosed(): void
  saturated(listener: ConnectionContext, errno: number): void
}
