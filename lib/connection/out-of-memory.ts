import { constants } from 'node:os'
import { closeError } from '../native/own-errors.js'

/** @internal Destroys a connection for lack of memory; later, if there is no memory for that either. */
export function destroyOutOfMemory(conn: { destroy(error: Error): void }): void {
  try {
    conn.destroy(closeError(constants.errno.ENOMEM, 'read'))
  } catch {
    setImmediate(destroyOutOfMemory, conn)
  }
}
