import { C1mError, type ErrorCode } from '../base/errors.js'
import { checkInteger, checkKeys, checkObject, keysOf } from '../base/validate.js'
import { TIMEOUT_KINDS, type TimeoutKind } from '../native/layout.js'
import type { HandlersOf } from './handlers.js'

/**
 * The argument of `conn.setTimeouts()`: milliseconds, 0 to 2^31-1; 0 is never, and a timeout that is left out stays as
 * it is.
 */
export interface Timeouts {
  /** The timeout in place of `idleTimeoutMs`. */
  idleMs?: number | undefined
  /** The timeout in place of `readTimeoutMs`. */
  readMs?: number | undefined
  /** The timeout in place of `writeTimeoutMs`. */
  writeMs?: number | undefined
  /** The timeout in place of `totalTimeoutMs`; it counts from now on, and not from when the connection opened. */
  totalMs?: number | undefined
}

const timeoutKeys = keysOf<Timeouts>({ idleMs: true, readMs: true, writeMs: true, totalMs: true })

const errors: Readonly<Record<TimeoutKind, readonly [ErrorCode, string]>> = {
  idle: ['ERR_C1M_IDLE_TIMEOUT', 'The connection was idle for its timeout'],
  read: ['ERR_C1M_READ_TIMEOUT', 'The peer sent nothing for the read timeout'],
  write: ['ERR_C1M_WRITE_TIMEOUT', 'The peer took nothing for the write timeout'],
  total: ['ERR_C1M_CONNECTION_TIMEOUT', 'The connection was open for its total timeout'],
}

/** @internal Checks the timeouts; returns those that are given: index into TIMEOUT_KINDS, milliseconds. */
export function checkTimeouts(timeouts: Timeouts): [kind: number, ms: number][] {
  const given = checkObject('timeouts', timeouts)
  checkKeys('timeouts', given, timeoutKeys)
  return TIMEOUT_KINDS.map((kind, index): [number, number | undefined] => [index, given[`${kind}Ms`]])
    .filter((one): one is [number, number] => one[1] !== undefined)
    .map(([index, ms]) => [index, checkInteger(`${TIMEOUT_KINDS[index]}Ms`, ms, 0, 2 ** 31 - 1)])
}

/** @internal Handles a timeout that has run out. After end() a handler could only destroy the connection. */
export function runTimeout<C extends { readonly writableEnded: boolean; destroy(error: Error): unknown }>(
  conn: C,
  handlers: HandlersOf<C>,
  index: number,
  ended: boolean,
): void {
  const kind = TIMEOUT_KINDS[index] as TimeoutKind
  // The timeout ran out before the I/O thread got the end(), and counts again from that.
  if (conn.writableEnded && !ended) return
  if (handlers.timeout !== undefined && !ended) return handlers.timeout(conn, kind)
  const [code, message] = errors[kind]
  conn.destroy(new C1mError(code, message))
}
