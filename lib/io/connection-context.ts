import type { Addresses } from '../base/address.js'
import type { Listener } from '../listener.js'
import type { ConnectionLimits, NewData } from '../options/connection-options.js'
import type { HandlersOf } from '../options/handlers.js'
import type { IoPort } from './io-port.js'

/** @internal What a connection, `C`, needs of the call that it came from. */
export interface ContextOf<C> extends ConnectionLimits {
  readonly io: IoPort
  /** None for an outgoing connection. */
  readonly listener: Listener<unknown> | undefined
  readonly handlers: HandlersOf<C>
  /** Makes what `conn.data` is from the start. */
  readonly newData: NewData
  /** It begins paused: nobody is there to have its bytes. */
  readonly paused?: boolean
}

/** @internal What a paused connection has yet to hear, in order. */
export interface BufferedEvents {
  readonly events: (Buffer | 'end' | 'invalid frame')[]
  /** It has closed meanwhile; its addresses, which could not be asked for any more. */
  closed?: Addresses
}
