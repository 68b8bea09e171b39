import { invalidType } from '../base/errors.js'
import { needMoreStack } from '../base/stack.js'
import type { Connection } from '../connection/connection.js'
import { Framing, payloadBytes } from '../options/framing.js'

/** A payload below this is copied to its length or delimiter. */
const COPIED_FRAME = 4096

/**
 * Writes a frame: its length, the payload, its delimiter, as `conn.write()` would, and answers like that. Nothing is put
 * together before: a large payload is sent from where it lies. Throws as `framing.encode()` does, before anything is
 * written.
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
  // A write is there as a whole or not at all, whatever is caught; half a frame must not be.
  if (bytes.length < COPIED_FRAME) return conn.write(Buffer.concat([before, bytes, after]))
  needMoreStack()
  if (before.length > 0) conn.write(before)
  let answer = conn.write(bytes)
  if (after.length > 0) answer = conn.write(after)
  return answer
}
