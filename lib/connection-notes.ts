import type { Connection } from './connection.js'
import type { Held } from './connection-context.js'
import type { Detachment } from './detach.js'
import type { RelaySide } from './relay.js'

// What few connections have, and those for a time: it isn't in their objects.

export const heldEvents = new WeakMap<Connection<unknown>, Held>()
/** How many chunks had been delivered when a write after `end()` last asked for a `drain`. */
export const refusedAt = new WeakMap<Connection<unknown>, number>()
export const destroyReasons = new WeakMap<Connection<unknown>, Error>()
/** Those that have left, until their last event. */
export const leaving = new WeakMap<Connection<unknown>, Detachment>()
export const relaySides = new WeakMap<Connection<unknown>, RelaySide>()
