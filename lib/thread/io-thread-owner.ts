import type { AsyncResource } from 'node:async_hooks'
import type { Moves, Pending } from '../base/pending.js'
import type { ConnectionContext } from '../connection/connection.js'
import type { MovedIds } from '../connection/moved-ids.js'
import type { InFlight } from '../io/in-flight.js'

/** What an I/O thread needs of its reactor. */
export interface IoThreadOwner {
  /** What comes before its number in a thread's name. */
  readonly threadNames: string
  readonly maxConnections: number
  /** How many there are, on all of its threads: for the core, which counts otherwise than JS does. */
  readonly connectionCount: Uint32Array
  /** The CPU of each I/O thread, -1 for any. */
  readonly cpus: readonly number[]
  readonly level: boolean
  readonly ownFileTable: boolean
  readonly poisonBorrowed: boolean
  readonly moved: MovedIds
  /** The async context of the events. */
  readonly scope: AsyncResource
  /** What takes several requests, of whichever of its I/O threads. */
  readonly operations: Pending
  /** Connections on their way from one of its threads to another. */
  readonly moves: Moves
  /** What waits for its threads. */
  readonly inFlight: InFlight
  /** Something began, or ended, that should keep the process alive. */
  ref(): void
  unref(): void
  /** Somebody waits for an answer, or has it: that keeps the process alive in any case. */
  asked(): void
  answered(): void
  /** Nothing more will come of what this context is for. */
  contextGone(index: number, context: ConnectionContext): void
  /** A connection has gone. */
  connectionClosed(): void
  saturated(listener: ConnectionContext, errno: number): void
}
