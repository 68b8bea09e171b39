// What a connection's `state` is made of: what JavaScript knows of it, as bits.

/** `end()` was called. */
export const ENDED = 1
/** `destroy()` or `reset()` was called. */
export const DESTROYED = 2
export const CLOSED = 4
export const PAUSED = 8
/** Events wait in `bufferedEvents`: they came while it was paused, and everything after them queues up there. */
export const BUFFERING = 16
export const DRAIN_WANTED = 32
/** A change of framing is in progress. */
export const REFRAMING = 64
/** A relay has it: its handlers are called only for timeouts, a shutdown, and the close. */
export const RELAYED = 256
/** `detach()` is in progress: what comes is held back, and goes along. */
export const DETACHING = 512
/** The reactor was shut down while it was `DETACHING`: its handler is called if it stays. */
export const SHUT_DOWN = 2048
/** It began `PAUSED`, for lack of a `data` handler, and neither `pause()` nor `resume()` has been called since. */
export const UNCLAIMED = 4096
/**
 * Each pool that has more to do for it than it can: it is paused while there is one, whatever `pause()` and `resume()` say. The
 * bits from here on count them.
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
