import type { Connection } from './connection.js'
import type { Framing } from './framing.js'
import type { Handlers } from './handlers.js'
import type { IoThread } from './io-thread.js'
import type { Listener } from './listener.js'
import type { Addresses } from './transit.js'

/** @internal What a connection needs of the call that it came from. */
export interface ConnectionContext {
  readonly io: IoThread
  /** None for an outgoing connection. */
  readonly listener: Listener<unknown> | undefined
  readonly handlers: Handlers<unknown>
  readonly highWaterMark: number
  readonly maxWriteQueue: number
  readonly allowHalfOpen: boolean
  readonly framing: Framing | undefined
  /** Makes what `conn.data` is from the start. */
  readonly newData: ((conn: Connection<never>) => unknown) | undefined
  /** It begins paused: nobody is there to have its bytes. */
  readonly paused?: boolean
}

/** @internal What the I/O thread's events do to a connection. */
export interface ConnectionEvents {
  open(conn: Connection<unknown>): void
  data(conn: Connection<unknown>, chunk: Buffer, borrowed: boolean): void
  end(conn: Connection<unknown>): void
  /** The I/O thread has stopped reading, and says why: FRAMING_STOPPED or FRAMING_MISFIT. */
  framing(conn: Connection<unknown>, why: number): void
  drain(conn: Connection<unknown>): void
  /** `kind` is an index into TIMEOUT_KINDS; `ended`: it was ended a whole such period before. */
  timeout(conn: Connection<unknown>, kind: number, ended: boolean): void
  shutdown(conn: Connection<unknown>): void
  close(conn: Connection<unknown>, error: Error | undefined): void
}

/** @internal What a paused connection has yet to hear, in order. */
export interface Held {
  readonly events: (Buffer | 'end' | 'misfit')[]
  /** It has closed meanwhile; its addresses, which could not be asked for any more. */
  closed?: Addresses
}
/** @internal */
export type Address = readonly [host: string, port: number, family: number] | undefined
