import { invalidType } from '../base/errors.js'
import { checkBoolean, checkInteger, checkObject, checkOneOf, keysOf, type Meant } from '../base/validate.js'
import type { ConnectionSettings } from '../native/binding-types.js'
import { checkFraming, type Framing } from './framing.js'

/** Options of connections: those of a listener, or one that was opened. */
export interface ConnectionOptions {
  /**
   * The lifetime of chunks. `'owned'`: the handler may keep a chunk; it is a slice of a slab of 256 KiB, which it keeps
   * alive, so copy what you keep for long. `'borrowed'`: a chunk is valid until the handler returns, and its memory is
   * then used again; nothing is allocated. Default: `'owned'`.
   */
  read?: 'owned' | 'borrowed' | undefined
  /** The number of queued bytes from which `write()` returns `false`. 1 to 2^30. Default: 65,536. */
  highWaterMark?: number | undefined
  /**
   * The max number of bytes that may be queued on a connection, also by broadcasts and workers, plus the costs of
   * entries such as files (docs/capacity.md). A write beyond it, also a single large one, destroys the connection with
   * ERR_C1M_WRITE_QUEUE_FULL. `highWaterMark` to 2^30. Default: 16 MiB (and at least `highWaterMark`).
   */
  maxWriteQueue?: number | undefined
  /**
   * Milliseconds without a byte read, written or acknowledged by the peer after which `timeout` is called (or, without
   * that handler, the connection is destroyed with ERR_C1M_IDLE_TIMEOUT). 0 is never; up to 2^31-1. Default: 0.
   */
  idleTimeoutMs?: number | undefined
  /**
   * Milliseconds without a byte read, while the connection isn't paused and the peer hasn't sent its FIN: against peers
   * that keep a connection open and send nothing, whatever is sent to them. As above, with ERR_C1M_READ_TIMEOUT.
   * Default: 0.
   */
  readTimeoutMs?: number | undefined
  /**
   * Milliseconds during which bytes are queued, none goes to the kernel, and the peer acknowledges none: against peers
   * that don't read. Bytes that the kernel has taken don't start it, see `userTimeoutMs`. As above, with
   * ERR_C1M_WRITE_TIMEOUT.
   * Default: 0.
   */
  writeTimeoutMs?: number | undefined
  /**
   * Milliseconds since the connection opened, whatever it does: gRPC's MAX_CONNECTION_AGE, Envoy's
   * max_connection_duration. As above, with ERR_C1M_CONNECTION_TIMEOUT. Default: 0.
   */
  totalTimeoutMs?: number | undefined
  /**
   * Cuts received bytes into frames, see `lengthPrefixed()` and `delimited()`: `data` gets one whole frame at a time. A
   * frame beyond its `maxFrameBytes` closes the connection with ERR_C1M_FRAME_TOO_LARGE, after earlier frames have been
   * delivered. Default: bytes as they arrive.
   */
  framing?: Framing | undefined
  /**
   * `false` ends the local side automatically once the `end` handler has returned, as in `node:net`. Default: `false`.
   */
  allowHalfOpen?: boolean | undefined
}

/** @internal */
export const connectionOptionKeys = keysOf<ConnectionOptions>({
  read: true,
  highWaterMark: true,
  maxWriteQueue: true,
  idleTimeoutMs: true,
  readTimeoutMs: true,
  writeTimeoutMs: true,
  totalTimeoutMs: true,
  framing: true,
  allowHalfOpen: true,
})

const HANDLERS_APART = 'handlers are the second argument'
/** @internal The options of `node:net`, `tls` and Bun, and their equivalents here. */
export const MEANT_OF_ANY: Meant = {
  timeout: 'idleTimeoutMs',
  keepAliveInitialDelay: 'it is keepAlive: { idleMs } here',
  pauseOnConnect: 'call conn.pause() in the open handler',
  readableHighWaterMark: 'reading has no buffer of its own here',
  writableHighWaterMark: 'highWaterMark',
  tls: 'c1m has no TLS: put a proxy that ends it in front',
  cert: 'c1m has no TLS: put a proxy that ends it in front',
  key: 'c1m has no TLS: put a proxy that ends it in front',
  socket: HANDLERS_APART,
  open: HANDLERS_APART,
  drain: HANDLERS_APART,
  end: HANDLERS_APART,
  close: HANDLERS_APART,
  shutdown: HANDLERS_APART,
  error: HANDLERS_APART,
}

const MAX_MS = 2 ** 31 - 1
const MAX_QUEUE_BYTES = 2 ** 30
const DEFAULT_HIGH_WATER_MARK = 64 * 1024
const DEFAULT_MAX_WRITE_QUEUE = 16 * 1024 * 1024

/** @internal The options of a connection that lib/ uses itself. */
export interface ConnectionLimits {
  readonly highWaterMark: number
  readonly maxWriteQueue: number
  readonly allowHalfOpen: boolean
  readonly framing: Framing | undefined
}

/** @internal Makes the first value of `conn.data` for a connection. */
export type NewData = ((conn: never) => unknown) | undefined

/**
 * @internal Checks the options that listeners and connections have in common; divides them into the core's and those of
 * lib/.
 */
export function checkConnectionOptions(options: ConnectionOptions): {
  settings: Omit<ConnectionSettings, 'context'>
  context: ConnectionLimits
} {
  const { read = 'owned', allowHalfOpen = false } = options
  const { idleTimeoutMs = 0, readTimeoutMs = 0, writeTimeoutMs = 0, totalTimeoutMs = 0 } = options
  const framing = checkFraming(options.framing)
  const { highWaterMark = DEFAULT_HIGH_WATER_MARK } = options
  const minQueue = checkInteger('highWaterMark', highWaterMark, 1, MAX_QUEUE_BYTES)
  const { maxWriteQueue = Math.max(DEFAULT_MAX_WRITE_QUEUE, minQueue) } = options
  return {
    settings: {
      borrowed: checkOneOf('read', read, ['owned', 'borrowed']) === 'borrowed',
      idleTimeoutMs: checkInteger('idleTimeoutMs', idleTimeoutMs, 0, MAX_MS),
      readTimeoutMs: checkInteger('readTimeoutMs', readTimeoutMs, 0, MAX_MS),
      writeTimeoutMs: checkInteger('writeTimeoutMs', writeTimeoutMs, 0, MAX_MS),
      totalTimeoutMs: checkInteger('totalTimeoutMs', totalTimeoutMs, 0, MAX_MS),
      framing: framing?.spec,
    },
    context: {
      framing,
      highWaterMark,
      maxWriteQueue: checkInteger('maxWriteQueue', maxWriteQueue, minQueue, MAX_QUEUE_BYTES),
      allowHalfOpen: checkBoolean('allowHalfOpen', allowHalfOpen),
    },
  }
}

/**
 * Returns the option of `listen()` or `connect()` for what `node:net` takes as an argument of its own; `undefined` for
 * anything else.
 */
function asOption(given: unknown): string | undefined {
  if (typeof given === 'number') return `{ port: ${given} }`
  return typeof given === 'string' ? (/^\d+$/.test(given) ? `{ port: ${given} }` : '{ path }') : undefined
}

/** @internal Checks the options of `listen()` and `connect()`, which are mandatory. */
export function checkGiven<T extends object>(options: T): Partial<T> {
  if (options === undefined) throw invalidType('options', 'an object', options)
  return checkObject('options', options, asOption(options))
}

/** @internal Returns a function that gives each connection the same `data`. */
export function constant(value: unknown): NewData {
  return value === undefined ? undefined : () => value
}
