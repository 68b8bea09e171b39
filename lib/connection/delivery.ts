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

/** A connection, as far as events are delivered to it. */
export interface Receiver extends ConnectionSocket {
  state: number
  readonly writableEnded: boolean
  end(): boolean
  destroy(error?: Error): boolean
}

/** Chunks given to `data` handlers of this thread's connections, modulo 2^32. */
let chunks = 0

export function chunksDelivered(): number {
  return chunks
}

/** Its context's handlers are those of its own class. */
function handlersOf(conn: Receiver): HandlersOf<Receiver> {
  return conn.context.handlers as HandlersOf<Receiver>
}

// What the I/O thread's events do to a connection.

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

/** The I/O thread has stopped reading, and says why: FRAMING_STOPPED or FRAMING_INVALID. */
export function framing(conn: Receiver, why: number): void {
  // Behind the frames that are held back; and whoever resumes may have changed the framing by then.
  if (why === FRAMING_INVALID)
    return (conn.state & MUST_BUFFER) === 0 ? invalidFrame(conn) : buffer(conn, 'invalid frame')
  conn.state &= ~REFRAMING
  if ((conn.state & GONE) === 0) finishReframing(conn, conn.context.io, conn.slot, conn.generation)
}

export function drain(conn: Receiver): void {
  conn.state &= ~DRAIN_WANTED
  if ((conn.state & (GONE | RELAYED)) === 0) handlersOf(conn).drain?.(conn)
}

/** `kind` is an index into TIMEOUT_KINDS; `ended`: it was ended a whole such period before. */
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
    // A regular end whose last bytes are held back: `close` comes after them, when they have been delivered.
    buffered.closed = conn.addresses
    conn.context.io.closedUnreported.add(conn)
    // The I/O thread has forgotten that one was wanted.
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
  // Of an end the I/O thread knows, and passes it on.
  if ((conn.state & RELAYED) !== 0) return typeof event === 'string' ? undefined : relaySides.get(conn)?.data(event)
  const buffered = bufferedEvents.get(conn)
  if (buffered === undefined) bufferedEvents.set(conn, { events: [event] })
  else buffered.events.push(event)
  conn.state |= BUFFERING
}

/** Delivers the buffered events, as long as nothing holds them back again. */
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

/** Its queue is empty, as it has closed in a regular way; what it pauses for may be the rest of what is held back. */
export function drainClosed(conn: Receiver): void {
  conn.state &= ~DRAIN_WANTED
  if (!isOver(conn.state)) guard(() => handlersOf(conn).drain?.(conn))
}

/** All buffered events have been delivered, or dropped. */
export function closeReplayed(conn: Receiver, error?: Error): void {
  guard(() => handlersOf(conn).close?.(conn, error))
  bufferedEvents.delete(conn)
  conn.context.io.forgetClosed(conn)
}

/** It has left, and its last event has come. */
function hasLeft(conn: Receiver, detachment: Detachment): void {
  const buffered = bufferedEvents.get(conn)?.events ?? []
  bufferedEvents.delete(conn)
  leaving.delete(conn)
  const before = conn.state
  // What it held back goes along.
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

/** What follows is no frame, unless a handler has changed the framing meanwhile. */
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
