import { C1mError, type ErrorCode, type SystemError, systemError } from '../base/errors.js'
import {
  OWN_ERROR_FILE_ABORTED,
  OWN_ERROR_FILE_TRUNCATED,
  OWN_ERROR_RELAY_FAILED,
  OWN_ERROR_WRITE_QUEUE_FULL,
} from './layout.js'

const OWN_ERRORS: ReadonlyMap<number, readonly [code: ErrorCode, message: string]> = new Map([
  [OWN_ERROR_FILE_TRUNCATED, ['ERR_C1M_FILE_TRUNCATED', 'A file became shorter while it was sent']],
  [OWN_ERROR_RELAY_FAILED, ['ERR_C1M_RELAY_FAILED', 'The other side of the relay failed or was destroyed']],
  [OWN_ERROR_WRITE_QUEUE_FULL, ['ERR_C1M_WRITE_QUEUE_FULL', 'More bytes are queued than maxWriteQueue allows']],
  [OWN_ERROR_FILE_ABORTED, ['ERR_C1M_FILE_ABORTED', 'A sendFile() was aborted when part of the file had been sent']],
] as const)

/** @internal Returns the error for an I/O thread's number: an errno, or one of the library's own. */
export function closeError(number: number, syscall: string): SystemError | C1mError {
  const own = OWN_ERRORS.get(number)
  return own === undefined ? systemError(number, syscall) : new C1mError(...own)
}
