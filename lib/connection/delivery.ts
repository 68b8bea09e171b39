import { C1mError } from '../base/errors.js'
import { whenFinished } from '../base/unfinished.js'
import { guard } from '../native/guard.js'
import { FRAMING_INVALID } from '../native/layout.js'
import type { HandlersOf } from '../options/handlers.js'
import { runTimeout } from '../options/timeouts.js'
import { bufferedEvents, destroyReasons, leaving, relaySides } from './connection-notes.js'
import type { ConnectionSocket } from './connection-socket.js'
import type { Detachment } from './detach.js'
import { bufferForReframing, finishReframing } from './reframing.js'
import {
  BUFFERING,
  CLOSED,
  DESTROYED,
  DETACHING,
  DRAIN_WANTED,
  ENDED,
  GONE,
  isOver,
  MUST_BUFFER,
  PAUSED,
  POOL_PAUSED,
  REFRAMING,
  RELAYED,
  SHUT_DOWN,
} from './state.js'

/** A connection as the delivery of events sees it. */
export interface Receiver extends ConnectionSocket {
  state: number
  readonly writableEnded: boolean
  end(): boolean
  destroy(error?: Error): boolean
}

/** The number of chunks given to `data` handlers of this thread's connections, modulo 2^32. */
let chunks = 0

export function chunksDelivered(): number {
  return chunks
}

/** The handlers of its context, with the type of its own class. */
function handlersOf(conn: Receiver): HandlersOf<Receiver> {
  return conn.context.handlers as HandlersOf<Receiver>
}

// The effects of the I/O thread's events on a connection.

export function open(conn: Receiver): void {
  handlersOf(conn).open?.(conn)
}

export function data(conn: Receiver, chunk: Buffer, borrowed: boolean): void {
  if ((conn.state & (GONE | MUST_BUFFER)) !== 0) {
    if ((conn.state & GONE) === 0) buffer(conn, borrowed ? Buffer.from(chunk) : chunk)
    return
  }
  deliverData(conn, chunk)
}

export function end(conn: Receiver): void {
  if ((conn.state & GONE) !== 0) return
  if ((conn.state & MUST_BUFFER) !== 0) buffer(conn, 'end')
  else deliverEnd(conn)
}

/** Handles the end of reading for a reason, `why`: FRAMING_STOPPED or FRAMING_INVALID. */
export function framing(conn: Receiver, why: number): void {
  // The event comes after the buffered frames; and by the time it is delivered a handler may have changed the framing.
  if (why === FRAMING_INVALID)
    return (conn.state & MUST_BUFFER) === 0 ? invalidFrame(conn) : buffer(conn, 'invalid frame')
  conn.state &= ~REFRAMING
  if ((conn.state & GONE) === 0) finishReframing(conn, conn.context.io, conn.slot, conn.generation)
}

export function drain(conn: Receiver): void {
  conn.state &= ~DRAIN_WANTED
  if ((conn.state & (GONE | RELAYED)) === 0) handlersOf(conn).drain?.(conn)
}

/** `kind` is an index into TIMEOUT_KINDS; `ended` is true if the connection was ended a whole such period before. */
export function timeout(conn: Receiver, kind: number, ended: boolean): void {
  const relayed = kind === 0 && relaySides.get(conn)?.timeout() === true
  if ((conn.state & (GONE | DETACHING)) === 0 && !relayed) runTimeout(conn, handlersOf(conn), kind, ended)
}

export function shutdown(conn: Receiver): void {
  conn.state |= SHUT_DOWN
  if ((conn.state & (GONE | DETACHING)) !== 0) return
  const handlers = handlersOf(conn)
  if (handlers.shutdown === undefined) whenFinished(conn, () => conn.end())
  else conn.context.io.scope.runInAsyncScope(guard, undefined, () => handlers.shutdown?.(conn))
}

export function close(conn: Receiver, error: Error | undefined): void {
  const left = leaving.get(conn)
  if (left !== undefined) return hasLeft(conn, left)
  const buffered = bufferedEvents.get(conn)
  const wasDestroyed = (conn.state & DESTROYED) !== 0
  conn.state |= CLOSED
  if (buffered !== undefined && !wasDestroyed && error === undefined) {
    // A regular end while the last bytes are buffered: `close` comes after they have been delivered.
    buffered.closed = conn.addresses
    conn.context.io.closedUnreported.add(conn)
    // The I/O thread's flag for a wanted drain went with the connection.
    if ((conn.state & DRAIN_WANTED) !== 0) conn.later(() => drainClosed(conn))
    return
  }
  bufferedEvents.delete(conn)
  conn.state &= ~BUFFERING
  const reason = wasDestroyed ? destroyReasons.get(conn) : undefined
  relaySides.get(conn)?.closed(wasDestroyed, reason ?? error)
  handlersOf(conn).close?.(conn, reason ?? error)
}

function buffer(conn: Receiver, event: Buffer | 'end' | 'invalid frame'): void {
  if ((conn.state & REFRAMING) !== 0) return bufferForReframing(conn, event)
  // The I/O thread knows of an end, and passes it on itself.
  if ((conn.state & RELAYED) !== 0) return typeof event === 'string' ? undefined : relaySides.get(conn)?.data(event)
  const buffered = bufferedEvents.get(conn)
  if (buffered === undefined) bufferedEvents.set(conn, { events: [event] })
  else buffered.events.push(event)
  conn.state |= BUFFERING
}

/** Delivers the buffered events, until the connection is paused again. */
export function replay(conn: Receiver): void {
  const buffered = bufferedEvents.get(conn)
  while (buffered !== undefined && (conn.state & (PAUSED | POOL_PAUSED | DETACHING | DESTROYED | RELAYED)) === 0) {
    const event = buffered.events.shift()
    if (event === undefined) {
      conn.state &= ~BUFFERING
      if (buffered.closed !== undefined) return closeReplayed(conn)
      bufferedEvents.delete(conn)
      return
    }
    if (event === 'invalid frame') invalidFrame(conn)
    else guard(() => (event === 'end' ? deliverEnd(conn) : deliverData(conn, event)))
  }
}

/**
 * Calls `drain`: the queue of a connection that closed in a regular way is empty. A handler may have paused the
 * buffered rest until `drain`.
 */
export function drainClosed(conn: Receiver): void {
  conn.state &= ~DRAIN_WANTED
  if (!isOver(conn.state)) guard(() => handlersOf(conn).drain?.(conn))
}

/** Calls `close`, after all buffered events have been delivered or dropped. */
export function closeReplayed(conn: Receiver, error?: Error): void {
  guard(() => handlersOf(conn).close?.(conn, error))
  bufferedEvents.delete(conn)
  conn.context.io.forgetClosed(conn)
}

/** Completes a detach, after the connection's last event. */
function hasLeft(conn: Receiver, detachment: Detachment): void {
  const buffered = bufferedEvents.get(conn)?.events ?? []
  bufferedEvents.delete(conn)
  leaving.delete(conn)
  const before = conn.state
  // The buffered events go along with the socket.
  conn.state = (before | CLOSED) & ~BUFFERING
  try {
    handlersOf(conn).close?.(conn, destroyReasons.get(conn))
  } finally {
    if ((before & DESTROYED) !== 0) detachment.drop()
    else detachment.finish(buffered, (before & ENDED) !== 0)
  }
}

function deliverData(conn: Receiver, chunk: Buffer): void {
  chunks = (chunks + 1) | 0
  handlersOf(conn).data?.(conn, chunk)
}

/** Destroys the connection for an invalid frame, unless a handler has changed the framing meanwhile. */
function invalidFrame(conn: Receiver): void {
  if ((conn.state & (GONE | REFRAMING)) !== 0) return
  conn.destroy(new C1mError('ERR_C1M_FRAME_TOO_LARGE', 'The peer sent no frame, or one beyond maxFrameBytes'))
}

function deliverEnd(conn: Receiver): void {
  try {
    handlersOf(conn).end?.(conn)
  } finally {
    if (!conn.context.allowHalfOpen) whenFinished(conn, () => conn.end())
  }
}
