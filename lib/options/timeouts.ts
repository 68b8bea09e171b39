import { C1mError, type ErrorCode } from '../base/errors.js'
import { checkInteger, checkKeys, checkObject, keysOf } from '../base/validate.js'
import { TIMEOUT_KINDS, type TimeoutKind } from '../native/layout.js'
import type { HandlersOf } from './handlers.js'

/** What `conn.setTimeouts()` takes: milliseconds, 0 to 2^31-1; 0 is never, and what is left out stays as it is. */
export interface Timeouts {
  /** In place of `idleTimeoutMs`. */
  idleMs?: number | undefined
  /** In place of `readTimeoutMs`. */
  readMs?: number | undefined
  /** In place of `writeTimeoutMs`. */
  writeMs?: number | undefined
  /** In place of `totalTimeoutMs`; from now on, and not from when it opened. */
  totalMs?: number | undefined
}

const timeoutKeys = keysOf<Timeouts>({ idleMs: true, readMs: true, writeMs: true, totalMs: true })

const errors: Readonly<Record<TimeoutKind, readonly [ErrorCode, string]>> = {
  idle: ['ERR_C1M_IDLE_TIMEOUT', 'The connection was idle for its timeout'],
  read: ['ERR_C1M_READ_TIMEOUT', 'The peer sent nothing for the read timeout'],
  write: ['ERR_C1M_WRITE_TIMEOUT', 'The peer took nothing for the write timeout'],
  total: ['ERR_C1M_CONNECTION_TIMEOUT', 'The connection was open for its total timeout'],
}

/** @internal Checks, and answers those that are given: index into TIMEOUT_KINDS, milliseconds. */
export function checkTimeouts(timeouts: Timeouts): [kind: number, ms: number][] {
  const given = checkObject('timeouts', timeouts)
  checkKeys('timeouts', given, timeoutKeys)
  return TIMEOUT_KINDS.map((kind, index): [number, number | undefined] => [index, given[`${kind}Ms`]])
    .filter((one): one is [number, number] => one[1] !== undefined)
    .map(([index, ms]) => [index, checkInteger(`${TIMEOUT_KINDS[index]}Ms`, ms, 0, 2 ** 31 - 1)])
}

/** @internal One has run out. After its end() there is nothing that a handler could do but destroy it. */
export function runTimeout<C extends { readonly writableEnded: boolean; destroy(error: Error): unknown }>(
  conn: C,
  handlers: HandlersOf<C>,
  index: number,
  ended: boolean,
): void {
  const kind = TIMEOUT_KINDS[index] as TimeoutKind
  // It ran out before the I/O thread heard of our end, and counts from that anew.
  if (conn.writableEnded && !ended) return
  if (handlers.timeout !== undefined && !ended) return handlers.timeout(conn, kind)
  const [code, message] = errors[kind]
  conn.destroy(new C1mError(code, message))
}
