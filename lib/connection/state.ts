// The bits of a connection's `state`, which is what JavaScript knows of it.

/** `end()` was called. */
export const ENDED = 1
/** `destroy()` or `reset()` was called. */
export const DESTROYED = 2
export const CLOSED = 4
export const PAUSED = 8
/** Events are in `bufferedEvents`: they came while it was paused, and all later ones are queued behind them. */
export const BUFFERING = 16
export const DRAIN_WANTED = 32
/** A change of framing is in progress. */
export const REFRAMING = 64
/** The connection is being relayed: its handlers are called only for timeouts, a shutdown, and the close. */
export const RELAYED = 256
/** `detach()` is in progress: events are buffered, and go along. */
export const DETACHING = 512
/** The reactor was shut down while the connection was `DETACHING`: its handler is called if the detach fails. */
export const SHUT_DOWN = 2048
/** It began `PAUSED`, for lack of a `data` handler, and neither `pause()` nor `resume()` has been called since. */
export const UNCLAIMED = 4096
/**
 * Counts the pools that have more tasks of the connection than they can run: it is paused while there is one, whatever
 * `pause()` and `resume()` do. The count takes all bits from here on.
 */
export const POOL_PAUSE = 1 << 16
export const POOL_PAUSED = -POOL_PAUSE

export const CANNOT_WRITE = ENDED | DESTROYED | CLOSED | RELAYED | DETACHING
export const MUST_BUFFER = PAUSED | POOL_PAUSED | BUFFERING | REFRAMING | RELAYED | DETACHING
export const GONE = DESTROYED | CLOSED

/** True once no further `data`, `end` or `drain` may be delivered. */
export function isOver(state: number): boolean {
  return (state & (DESTROYED | RELAYED)) !== 0 || (state & (CLOSED | BUFFERING)) === CLOSED
}
