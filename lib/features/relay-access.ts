import type { Connection } from '../connection/connection.js'
import { bufferedEvents, relaySides } from '../connection/connection-notes.js'
import { isFramed } from '../connection/reframing.js'
import type { RelaySide } from '../connection/relay-side.js'
import { BUFFERING, DETACHING, DRAIN_WANTED, GONE, PAUSED, RELAYED, UNCLAIMED } from '../connection/state.js'
import { COMMAND_DESTROY, COMMAND_RESET } from '../native/layout.js'

/** The part of a connection that a relay may use. */
export interface RelayAccess {
  readonly relayed: boolean
  /** True if the connection's bytes are cut into frames. */
  readonly framed: boolean
  /**
   * Stops the calls of the connection's handlers; from then on only the relay writes. Buffered events go to the side
   * immediately.
   */
  take(side: RelaySide): void
  write(chunk: Uint8Array): void
  destroy(reset: boolean, error: Error): void
}

export function relayAccess(conn: Connection): RelayAccess {
  return {
    relayed: (conn.state & (RELAYED | DETACHING)) !== 0,
    framed: isFramed(conn, conn.context.framing),
    take(side) {
      const buffered = bufferedEvents.get(conn)
      bufferedEvents.delete(conn)
      conn.state = (conn.state & ~(PAUSED | UNCLAIMED | BUFFERING | DRAIN_WANTED)) | RELAYED
      relaySides.set(conn, side)
      for (const event of buffered?.events ?? []) if (typeof event !== 'string') side.data(event)
    },
    write(chunk) {
      if ((conn.state & GONE) !== 0) return
      conn.context.io.commands.write(conn.slot, conn.generation, chunk)
      conn.submitted = (conn.submitted + chunk.length) | 0
    },
    destroy: (reset, error) => conn.close(reset ? COMMAND_RESET : COMMAND_DESTROY, error),
  }
}
