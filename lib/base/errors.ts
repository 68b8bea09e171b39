import { getSystemErrorMap, getSystemErrorName, inspect, types } from 'node:util'

/** Every stable code of c1m's own errors. Errors of the system keep the system's code (`ECONNRESET`, `EADDRINUSE`). */
export type ErrorCode =
  /** An argument or option has the wrong type (`TypeError`). */
  | 'ERR_C1M_INVALID_ARG_TYPE'
  /** An argument or option is out of its range (`RangeError`). */
  | 'ERR_C1M_OUT_OF_RANGE'
  /** A value makes no sense here, or options contradict each other (`TypeError`). */
  | 'ERR_C1M_INVALID_ARG_VALUE'
  /** This platform, kernel or protocol lacks the socket option. */
  | 'ERR_C1M_UNSUPPORTED_OPTION'
  /** This operating system or runtime can't load c1m. */
  | 'ERR_C1M_UNSUPPORTED_PLATFORM'
  /** The reactor has been shut down. */
  | 'ERR_C1M_REACTOR_CLOSED'
  /** The reactor has reached its `maxConnections`; a `saturated` event reports it. */
  | 'ERR_C1M_MAX_CONNECTIONS'
  /** The connection has closed, so that its socket can't be read or set any more. */
  | 'ERR_C1M_CONNECTION_CLOSED'
  /** More bytes were queued on a connection than `maxWriteQueue` allows; the connection was destroyed. */
  | 'ERR_C1M_WRITE_QUEUE_FULL'
  /**
   * The connection was idle for its timeout and no `timeout` handler took care of it; or it was ended, and idle for the
   * same time after that. The same goes for the other timeouts.
   */
  | 'ERR_C1M_IDLE_TIMEOUT'
  /** The peer sent a frame beyond `maxFrameBytes`, or an impossible length; the connection was destroyed. */
  | 'ERR_C1M_FRAME_TOO_LARGE'
  /** The peer sent nothing for the read timeout. */
  | 'ERR_C1M_READ_TIMEOUT'
  /** Written bytes waited, and the peer took none of them, for the write timeout. */
  | 'ERR_C1M_WRITE_TIMEOUT'
  /** The connection has been open for its total timeout. */
  | 'ERR_C1M_CONNECTION_TIMEOUT'
  /** The other side of the connection's relay failed, or was destroyed. */
  | 'ERR_C1M_RELAY_FAILED'
  /** A file became shorter while `sendFile()` sent it; the connection was reset. */
  | 'ERR_C1M_FILE_TRUNCATED'
  /** A `sendFile()` was aborted when part of the file had been sent; the connection was reset. */
  | 'ERR_C1M_FILE_ABORTED'
  /** No more is taken, because too many broadcasts and requests are in flight. */
  | 'ERR_C1M_TOO_MUCH_IN_FLIGHT'
  /** `maxQueue` tasks wait in a `WorkerPool`. */
  | 'ERR_C1M_TASK_QUEUE_FULL'
  /**
   * A worker of a `ReactorPool` could not start, and the error's `cause` has the reason; or it ended before its reply.
   */
  | 'ERR_C1M_WORKER_FAILED'
  /** The pool has been closed. */
  | 'ERR_C1M_POOL_CLOSED'
  /** `shutdown()` cut the connection at its deadline. */
  | 'ERR_C1M_SHUTDOWN'

/**
 * An error of c1m's own, identified by its `code`. Wrong arguments are a TypeError or a RangeError instead, with a code
 * as well.
 */
export class C1mError extends Error {
  override readonly name: string = 'C1mError'
  constructor(
    readonly code: ErrorCode,
    message: string,
  ) {
    super(message)
  }
}

/** An error that a system call reported, shaped like Node's own: `code`, a negative `errno`, `syscall`. */
export interface SystemError extends Error {
  /** The system's name of the error, for example `ECONNRESET`. */
  readonly code: string
  /** The negative error number, as in Node's own errors. */
  readonly errno: number
  /** The system call that failed, for example `read`. */
  readonly syscall: string
  /** The address that the call was about, where there is one. */
  readonly address?: string
  /** The port that the call was about, where there is one. */
  readonly port?: number
  /** The path that the call was about, where there is one. */
  readonly path?: string
}

/**
 * @internal Makes a SystemError from a positive errno; with `words` its message has the system's text, as that of
 * `node:net`'s listen.
 */
export function systemError(
  errno: number,
  syscall: string,
  about?: { address?: string | undefined; port?: number | undefined },
  words = false,
): SystemError {
  const where =
    about?.address === undefined ? '' : ` ${about.address}${about.port === undefined ? '' : `:${about.port}`}`
  const what = words ? `: ${wordsOf(errno)}${where}` : where
  return Object.assign(systemErrorOn(errno, syscall, what), where === '' ? {} : about)
}

/** @internal Makes a SystemError whose message describes in the library's own words what the call was about. */
export function systemErrorOn(errno: number, syscall: string, what: string): SystemError {
  const code = getSystemErrorName(-errno)
  return Object.assign(new Error(`${syscall} ${code}${what}`), { code, errno: -errno, syscall })
}

/** Returns the system's text for an errno, as Node has it: `address already in use`. */
function wordsOf(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[1] ?? 'unknown error'
}

function describe(value: unknown): string {
  if (typeof value === 'string') return inspect(value)
  if (typeof value === 'function') return `the function ${value.name || '(anonymous)'}`
  if (typeof value === 'object' && value !== null) return `an instance of ${value.constructor?.name ?? 'Object'}`
  return String(value)
}

/** @internal */
export function invalidType(name: string, expected: string, actual: unknown): TypeError {
  return Object.assign(new TypeError(`"${name}" must be ${expected}, got ${describe(actual)}`), {
    code: 'ERR_C1M_INVALID_ARG_TYPE',
  })
}

/** @internal */
export function outOfRange(name: string, expected: string, actual: unknown): RangeError {
  return Object.assign(new RangeError(`"${name}" must be ${expected}, got ${describe(actual)}`), {
    code: 'ERR_C1M_OUT_OF_RANGE',
  })
}

/** @internal */
export function invalidValue(message: string): TypeError {
  return Object.assign(new TypeError(message), { code: 'ERR_C1M_INVALID_ARG_VALUE' })
}

/** @internal Returns the error for `new` with a class whose objects another function makes. */
export function notMade(name: string, by: string): TypeError {
  return invalidValue(`A ${name} is made by ${by}`)
}

/**
 * @internal Returns a thrown value, or the reason of an abort, as an error. It may be any value, also one that has no
 * text.
 */
export function asError(reason: unknown): Error {
  if (reason instanceof Error || types.isNativeError(reason)) return reason
  try {
    return new Error(String(reason))
  } catch {
    return new Error('A reason that has no text')
  }
}

/** @internal */
export function queueFull(bytes: number, limit: number): C1mError {
  return new C1mError('ERR_C1M_WRITE_QUEUE_FULL', `${bytes} bytes queued, with a maxWriteQueue of ${limit}`)
}

/** @internal */
export function reactorClosed(): C1mError {
  return new C1mError('ERR_C1M_REACTOR_CLOSED', 'The reactor has been shut down')
}

/** @internal */
export function reactorFull(): C1mError {
  return new C1mError('ERR_C1M_MAX_CONNECTIONS', 'The reactor has reached its maxConnections')
}

/** @internal */
export function poolClosed(): C1mError {
  return new C1mError('ERR_C1M_POOL_CLOSED', 'The pool has been closed')
}
