import type { Addresses } from '../base/address.js'
import type { Listener } from '../listener.js'
import type { ConnectionLimits, NewData } from '../options/connection-options.js'
import type { HandlersOf } from '../options/handlers.js'
import type { IoPort } from './io-port.js'

/** @internal The state that a connection, `C`, needs of the call that it came from. */
export interface ContextOf<C> extends ConnectionLimits {
  readonly io: IoPort
  /** The listener; `undefined` for an outgoing connection. */
  readonly listener: Listener<unknown> | undefined
  readonly handlers: HandlersOf<C>
  /** Makes the first value of `conn.data`. */
  readonly newData: NewData
  /** True if the connection begins paused, for lack of a `data` handler. */
  readonly paused?: boolean
}

/** @internal The events that a paused connection has not been given, in order. */
export interface BufferedEvents {
  readonly events: (Buffer | 'end' | 'invalid frame')[]
  /** Set when the connection has closed meanwhile: its addresses, which are no longer available elsewhere. */
  closed?: Addresses
}
