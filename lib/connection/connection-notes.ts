import type { BufferedEvents } from '../io/connection-context.js'
import type { Detachment } from './detach.js'
import type { RelaySide } from './relay-side.js'

// What few connections have, and those for a time: it isn't in their objects.

export const bufferedEvents = new WeakMap<object, BufferedEvents>()
/** How many chunks had been delivered when a write after `end()` last asked for a `drain`. */
export const refusedAt = new WeakMap<object, number>()
export const destroyReasons = new WeakMap<object, Error>()
/** Those that have left, until their last event. */
export const leaving = new WeakMap<object, Detachment>()
export const relaySides = new WeakMap<object, RelaySide>()
