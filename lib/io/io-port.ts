import type { AsyncResource } from 'node:async_hooks'
import type { NativeIoThread } from '../native/binding-types.js'
import type { CommandWriter } from './command-writer.js'
import type { Counted } from './in-flight.js'

/** Hands a request's payload to the addon, for this batch; answers its place there. */
export type Submit<A> = (batch: number, callback: (answer: A) => void) => number

/** An I/O thread as its connections know it; `IoThread` is the one that there is. */
export interface IoPort {
  readonly index: number
  readonly native: NativeIoThread
  readonly commands: CommandWriter
  /** The async context of the reactor's events. */
  readonly scope: AsyncResource
  /** Slots of connections that are on their way here: what is asked about them waits until JavaScript has had events. */
  readonly expected: ReadonlySet<number>
  /** Those that have closed, but are paused and have yet to hear of it, and of what came before. */
  readonly closedUnreported: { add(conn: object): unknown }
  /** Bytes of the connection in this slot that have gone to the kernel, modulo 2^32, as a signed integer. */
  flushedOf(slot: number): number
  /** Whether this connection has not closed yet, or is being told so right now. */
  holds(slot: number, generation: number): boolean
  /** To abort a `sendFile()` by: unlike that of any other under way. */
  nextFileId(): number
  /**
   * Asks the I/O thread. The process stays alive until it has answered; if `lasts`, as a peer or a disk decides when, only
   * while the reactor keeps it.
   */
  request<A>(submit: Submit<A>, how?: { lasts?: boolean }): Promise<A>
  /**
   * The same of what an I/O thread does without waiting for anybody, and whose answer says nothing of the order of events. It
   * counts as in flight, with `bytes`. Call `checkInFlight()` before.
   */
  count<A>(submit: Submit<A>, answered: (answer: A) => void, bytes?: number): Counted
  /** Throws ERR_C1M_TOO_MUCH_IN_FLIGHT beyond all bounds. */
  checkInFlight(): void
  /** A connection of `closedUnreported` has heard of its close. */
  forgetClosed(conn: object): void
}

/** A connection, as the I/O thread knows it. */
export interface Place {
  readonly io: IoPort
  readonly slot: number
  readonly generation: number
}
