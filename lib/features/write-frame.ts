import { invalidType } from '../base/errors.js'
import { needMoreStack } from '../base/stack.js'
import type { Connection } from '../connection/connection.js'
import { Framing, payloadBytes } from '../options/framing.js'

/** The size below which a payload is copied to its length or delimiter. */
const COPIED_FRAME = 4096

/**
 * Writes a frame: its length, the payload, its delimiter, as `conn.write()` would, and returns the same. Nothing is
 * joined before: a large payload is sent from where it lies. Throws as `framing.encode()` does, before anything is
 * written, and a TypeError (ERR_C1M_INVALID_ARG_TYPE) for anything but a framing. (send(2), sendmsg(2))
 *
 * @example
 * const lines = delimited('\n')
 * writeFrame(conn, lines, JSON.stringify(message))
 */
export function writeFrame<T>(conn: Connection<T>, framing: Framing, payload: string | Uint8Array): boolean {
  if (!(framing instanceof Framing)) throw invalidType('framing', 'of lengthPrefixed() or delimited()', framing)
  const bytes = payloadBytes(payload)
  framing.check(bytes)
  const before = framing.before(bytes.length)
  const after = framing.after()
  // A write is queued as a whole or not at all, even if it throws; half a frame must not be queued.
  if (bytes.length < COPIED_FRAME) return conn.write(Buffer.concat([before, bytes, after]))
  needMoreStack()
  if (before.length > 0) conn.write(before)
  let result = conn.write(bytes)
  if (after.length > 0) result = conn.write(after)
  return result
}
