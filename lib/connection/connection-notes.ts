import type { BufferedEvents } from '../io/connection-context.js'
import type { Detachment } from './detach.js'
import type { RelaySide } from './relay-side.js'

// State that few connections have, and only for a time: it isn't kept in their objects.

export const bufferedEvents = new WeakMap<object, BufferedEvents>()
/** The number of chunks that had been delivered when a write after `end()` last asked for a `drain`. */
export const refusedAt = new WeakMap<object, number>()
export const destroyReasons = new WeakMap<object, Error>()
/** Connections that have left, until their last event. */
export const leaving = new WeakMap<object, Detachment>()
export const relaySides = new WeakMap<object, RelaySide>()
