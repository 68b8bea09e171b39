import type { AsyncResource } from 'node:async_hooks'
import type { NativeIoThread } from '../native/binding-types.js'
import type { CommandWriter } from './command-writer.js'
import type { Counted } from './in-flight.js'

/** Hands a request's payload to the addon, for this batch; returns its place there. */
export type Submit<A> = (batch: number, callback: (reply: A) => void) => number

/** An I/O thread as its connections know it; `IoThread` is the only implementation. */
export interface IoPort {
  readonly index: number
  readonly native: NativeIoThread
  readonly commands: CommandWriter
  /** The async context of the reactor's events. */
  readonly scope: AsyncResource
  /**
   * The slots of connections that are being moved here: a request about one waits until JavaScript has had its events.
   */
  readonly expected: ReadonlySet<number>
  /** Paused connections that have closed, and have not been given their close and the events before it. */
  readonly closedUnreported: { add(conn: object): unknown }
  /**
   * Returns the bytes of the connection in this slot that have gone to the kernel, modulo 2^32, as a signed integer.
   */
  flushedOf(slot: number): number
  /** True if this connection has not closed yet, or its close is being delivered right now. */
  holds(slot: number, generation: number): boolean
  /** Returns a number by which to abort a `sendFile()`: no other in progress has it. */
  nextFileId(): number
  /**
   * Sends a request to the I/O thread. The process stays alive until the reply; with `lasts`, for a request whose end
   * depends on a peer or a disk, only while the reactor keeps it alive.
   */
  request<A>(submit: Submit<A>, how?: { lasts?: boolean }): Promise<A>
  /**
   * Sends a request for which the I/O thread waits for nothing, and whose reply has no order with events. It counts as
   * in flight, with `bytes`. Call `checkInFlight()` before.
   */
  count<A>(submit: Submit<A>, replied: (reply: A) => void, bytes?: number): Counted
  /** Throws ERR_C1M_TOO_MUCH_IN_FLIGHT beyond the hard limit. */
  checkInFlight(): void
  /** Removes a connection from `closedUnreported`, when its close has been delivered. */
  forgetClosed(conn: object): void
}

/** The place of a connection: its I/O thread, and its slot there. */
export interface Place {
  readonly io: IoPort
  readonly slot: number
  readonly generation: number
}
