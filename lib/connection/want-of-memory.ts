import { constants } from 'node:os'
import { closeError } from '../native/own-errors.js'

/** @internal Destroys a connection for want of memory, which there may not be for that either: then later. */
export function destroyForMemory(conn: { destroy(error: Error): void }): void {
  try {
    conn.destroy(closeError(constants.errno.ENOMEM, 'read'))
  } catch {
    setImmediate(destroyForMemory, conn)
  }
}
