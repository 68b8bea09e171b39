import { C1mError, invalidType, outOfRange, systemError } from '../base/errors.js'
import { checkBoolean, checkInteger, checkKeys, checkObject } from '../base/validate.js'
import type { Failure } from '../native/binding-types.js'

/** TCP keepalive, see `SocketOptions.keepAlive`. A property that is left out keeps the system's value. */
export interface KeepAliveOptions {
  /**
   * Milliseconds without traffic before the first probe; the kernel takes whole seconds, rounded up.
   * 1 to 32,767,000. Default: the system's `net.ipv4.tcp_keepalive_time`, two hours. (TCP_KEEPIDLE, tcp(7))
   */
  idleMs?: number | undefined
  /**
   * Milliseconds between probes; the kernel takes whole seconds, rounded up. 1 to 32,767,000.
   * Default: `net.ipv4.tcp_keepalive_intvl`, 75 seconds. (TCP_KEEPINTVL, tcp(7))
   */
  intervalMs?: number | undefined
  /**
   * Unacknowledged probes after which the connection closes with ETIMEDOUT. 1 to 127.
   * Default: `net.ipv4.tcp_keepalive_probes`, 9. (TCP_KEEPCNT, tcp(7))
   */
  count?: number | undefined
}

/**
 * Socket options, for a listener (then its connections have them from the start) and for a single connection.
 *
 * An option that is left out keeps the system's default. One that the platform or the protocol lacks fails with
 * ERR_C1M_UNSUPPORTED_OPTION and is never dropped silently: a Unix socket has `sendBufferBytes` only, and Multipath
 * TCP lacks `userTimeoutMs`, `quickAck` and, over IPv6, `ipTos`. A wrong type throws a TypeError with
 * ERR_C1M_INVALID_ARG_TYPE, a value out of range a RangeError with ERR_C1M_OUT_OF_RANGE.
 *
 * @example
 * await reactor.listen({ port: 7000, noDelay: true, keepAlive: { idleMs: 60_000, count: 3 } }, handlers)
 */
export interface SocketOptions {
  /**
   * Sends small writes immediately instead of collecting them while older data is unacknowledged (Nagle's algorithm).
   * Everything that a turn wrote goes out in one system call anyway, so that request and response protocols want
   * `true`. Default: `false`. (TCP_NODELAY, tcp(7))
   */
  noDelay?: boolean | undefined
  /**
   * Probes an idle peer, and so detects one that vanished without a FIN. `true` uses the system's times; an object
   * enables it with its own. Default: `false`. (SO_KEEPALIVE, socket(7))
   */
  keepAlive?: boolean | KeepAliveOptions | undefined
  /**
   * Milliseconds that sent data may stay unacknowledged, or unsent because of a closed window, before the connection
   * closes with ETIMEDOUT. With keepalive enabled, it replaces `keepAlive.count`. 0 to 2,147,483,647; 0 is the system's
   * time, about 15 minutes. Default: 0. (TCP_USER_TIMEOUT, tcp(7); RFC 5482)
   */
  userTimeoutMs?: number | undefined
  /**
   * Accepts a connection only when its first data has arrived, or after this many milliseconds without any. The kernel
   * takes whole seconds, rounded up by c1m, and by the kernel to the next step of its SYN-ACK timer: 1, 3, 7, 15, 31,
   * 63 s and so on. 0 to 2,147,483,647; 0 is off. Default: 0. Listeners only. (TCP_DEFER_ACCEPT, tcp(7))
   */
  deferAcceptMs?: number | undefined
  /**
   * Takes data in the SYN of clients that have connected before, and saves them a round trip. A number is how many such
   * connections may be pending at the same time, 0 (off) to 2,147,483,647, at most `net.core.somaxconn`; `true` is
   * 1024. Needs the server's bit, 2, in `net.ipv4.tcp_fastopen`; without it the option has no effect. A SYN may be
   * repeated: use it only for requests that do no harm when they arrive twice. Default: `false`. Listeners only.
   * (TCP_FASTOPEN, tcp(7); RFC 7413)
   */
  fastOpen?: boolean | number | undefined
  /**
   * Bytes of the kernel's receive buffer, 1 to 1,073,741,823. The kernel limits it to `net.core.rmem_max`, doubles it
   * for its own overhead, and stops adapting it to the connection. The doubled value is read back. Default: adapted
   * within `net.ipv4.tcp_rmem`. (SO_RCVBUF, socket(7))
   */
  receiveBufferBytes?: number | undefined
  /**
   * Bytes of the kernel's send buffer, 1 to 1,073,741,823; limited to `net.core.wmem_max`, doubled, and no longer
   * adapted, as above. Default: adapted within `net.ipv4.tcp_wmem`. (SO_SNDBUF, socket(7))
   */
  sendBufferBytes?: number | undefined
  /**
   * Name of the congestion control algorithm, 1 to 15 characters, for example `'bbr'`. ENOENT if the kernel doesn't
   * have it, EPERM if it isn't in `net.ipv4.tcp_allowed_congestion_control` and the process has no CAP_NET_ADMIN.
   * Default: `net.ipv4.tcp_congestion_control`. (TCP_CONGESTION, tcp(7))
   */
  congestion?: string | undefined
  /**
   * `true` acknowledges received data immediately, `false` lets the kernel delay that, to send it along with data. It
   * is a hint for now: the kernel soon decides on its own again. For a listener it is set on each connection after
   * accept, one system call each. Default: the kernel decides. (TCP_QUICKACK, tcp(7))
   */
  quickAck?: boolean | undefined
  /**
   * The effect of closing on data that the peer hasn't acknowledged. `false`: the kernel continues to send it. `0`: it
   * is dropped and the peer gets a RST, on every close. A longer time is refused (ERR_C1M_OUT_OF_RANGE): with one,
   * close(2) waits on a non-blocking socket too, and every connection of the I/O thread with it. Default: `false`.
   * (SO_LINGER, socket(7))
   */
  lingerMs?: 0 | false | undefined
  /**
   * The socket counts as writable only while fewer bytes than this wait in the kernel without having been sent, so
   * that more stays in the queue of the connection, where `writableLength` shows it and `destroy()` drops it. 0 to
   * 2,147,483,647; 0 is the system's `net.ipv4.tcp_notsent_lowat`. Default: 0. (TCP_NOTSENT_LOWAT, tcp(7))
   */
  notSentLowAtBytes?: number | undefined
  /**
   * The type-of-service byte of IPv4 and the traffic class of IPv6; both on a dual-stack socket. 0 to 255. The lowest
   * two bits belong to congestion notification, and TCP keeps its own in them: 0xb8 is DSCP EF. Default: 0.
   * (IP_TOS, ip(7); IPV6_TCLASS, RFC 3542)
   */
  ipTos?: number | undefined
  /**
   * Prefers this listener, among several that share a port (`reusePort`), for packets that this CPU handles. 0 to
   * 65,535. Read back from a connection, it is the CPU that handled its last packet. Default: none. Listeners only.
   * (SO_INCOMING_CPU, socket(7))
   */
  incomingCpu?: number | undefined
  /**
   * Microseconds to poll the network device for data instead of waiting for its interrupt: lower latency for more CPU
   * time, with drivers that support it. 0 to 2,147,483,647; more than `net.core.busy_read` needs CAP_NET_ADMIN (EPERM).
   * Default: `net.core.busy_read`, 0. (SO_BUSY_POLL, socket(7))
   */
  busyPollMicros?: number | undefined
}

/**
 * The options as the kernel applied them, rounded and limited. A property is absent where the socket lacks the option;
 * `deferAcceptMs` and `fastOpen` exist on listeners only, `quickAck` on connections only. `keepAlive` has all its
 * values, or is `false`.
 */
export interface AppliedSocketOptions {
  readonly noDelay?: boolean
  readonly keepAlive?: false | Readonly<Required<KeepAliveOptions>>
  readonly userTimeoutMs?: number
  readonly deferAcceptMs?: number
  /** The queue's length, or `false`. */
  readonly fastOpen?: false | number
  readonly receiveBufferBytes?: number
  readonly sendBufferBytes?: number
  readonly congestion?: string
  readonly quickAck?: boolean
  readonly lingerMs?: number | false
  /** 2,147,483,647 stands for "no limit". */
  readonly notSentLowAtBytes?: number
  readonly ipTos?: number
  readonly incomingCpu?: number
  readonly busyPollMicros?: number
}

const INT_MAX = 2_147_483_647
const FAST_OPEN_QUEUE = 1024
const MAX_KEEP_ALIVE_MS = 32_767_000

/**
 * The conversion of an option's value to the int that the core takes, and of an int that the kernel applied to a value.
 */
interface Unit<V> {
  /** Checks the user's value, and converts it. */
  readonly encode: (name: string, value: unknown) => number
  readonly decode: (value: number) => V | undefined
  readonly where?: 'listener'
}

const flag: Unit<boolean> = {
  encode: (name, value) => (checkBoolean(name, value) ? 1 : 0),
  decode: (value) => value !== 0,
}

const integer = (min: number, max: number): Unit<number> => ({
  encode: (name, value) => checkInteger(name, value, min, max),
  decode: (value) => value,
})

/** A unit of milliseconds, for whole seconds in the kernel. */
const seconds = (min: number, max: number): Unit<number> => ({
  encode: (name, value) => Math.ceil(checkInteger(name, value, min, max) / 1000),
  decode: (value) => value * 1000,
})

const fastOpen: Unit<number | false> = {
  encode(name, value) {
    if (typeof value === 'boolean') return value ? FAST_OPEN_QUEUE : 0
    if (typeof value !== 'number') throw invalidType(name, 'a boolean or a number', value)
    return checkInteger(name, value, 0, INT_MAX)
  },
  decode: (value) => value > 0 && value,
}

const linger: Unit<number | false> = {
  encode(name, value) {
    if (value === false) return -1
    if (typeof value !== 'number') throw invalidType(name, '0 or false', value)
    if (value !== 0) throw outOfRange(name, '0 or false', value)
    return 0
  },
  decode: (value) => value >= 0 && value * 1000,
}

const cpu: Unit<number> = {
  ...integer(0, 65_535),
  // The value is -1 as long as no CPU has been chosen and no packet has come.
  decode: (value) => (value >= 0 ? value : undefined),
}

/** A row without an int value: it gives the option a number, by which failures name it. */
const NAME_ONLY = undefined

type KeepAliveName = `keepAlive.${keyof KeepAliveOptions}`
type Table = {
  readonly [K in Exclude<keyof SocketOptions, 'keepAlive' | 'congestion'>]: Unit<Required<AppliedSocketOptions>[K]>
} & { readonly [K in KeepAliveName]: Unit<number> } & { readonly keepAlive: Unit<boolean> }

/**
 * A row for each option: the only place, besides its doc blocks above, that knows it. The order gives an option its
 * number, which is the same in `kOptionNames` in `native/net/options.h`.
 */
const table = {
  noDelay: flag,
  keepAlive: flag,
  'keepAlive.idleMs': seconds(1, MAX_KEEP_ALIVE_MS),
  'keepAlive.intervalMs': seconds(1, MAX_KEEP_ALIVE_MS),
  'keepAlive.count': integer(1, 127),
  userTimeoutMs: integer(0, INT_MAX),
  deferAcceptMs: { ...seconds(0, INT_MAX), where: 'listener' },
  fastOpen: { ...fastOpen, where: 'listener' },
  receiveBufferBytes: integer(1, 2 ** 30 - 1),
  sendBufferBytes: integer(1, 2 ** 30 - 1),
  quickAck: flag,
  lingerMs: linger,
  notSentLowAtBytes: integer(0, INT_MAX),
  ipTos: integer(0, 255),
  incomingCpu: { ...cpu, where: 'listener' },
  busyPollMicros: integer(0, INT_MAX),
  congestion: NAME_ONLY,
  reusePort: NAME_ONLY,
  ipv6Only: NAME_ONLY,
  protocol: NAME_ONLY,
} as const satisfies Table & Readonly<Record<string, Unit<unknown> | undefined>>

const rows: readonly (readonly [name: string, unit: Unit<unknown> | undefined])[] = Object.entries(table)
/** The rows of the options that are one int each. */
const units = rows.filter((row): row is readonly [string, Unit<unknown>] => row[1] !== undefined)

const KEEP_ALIVE = 'keepAlive.'
const keepAliveUnits = units
  .filter(([name]) => name.startsWith(KEEP_ALIVE))
  .map(([name, unit]) => [name.slice(KEEP_ALIVE.length) as keyof KeepAliveOptions, unit] as const)
const plainUnits = units.filter(([name]) => !name.startsWith('keepAlive'))

/** @internal The names of the options by their number, which is the index. */
export const optionNames: readonly string[] = rows.map(([name]) => name)

/** @internal */
export const socketOptionKeys: readonly string[] = ['keepAlive', ...plainUnits.map(([name]) => name), 'congestion']

/** @internal The names of the options that aren't for listeners only. */
export const connectionSocketOptionKeys = socketOptionKeys.filter(
  (key) => plainUnits.find(([name]) => name === key)?.[1].where !== 'listener',
)

/** @internal Option ids for the core, side by side with their values: `[id, value, id, value, …]`. */
export interface EncodedSocketOptions {
  readonly settings: number[]
  readonly congestion?: string
}

const idOf = (name: string): number => optionNames.indexOf(name)

function encodeKeepAlive(keepAlive: unknown, settings: number[]): void {
  if (typeof keepAlive === 'boolean') {
    settings.push(idOf('keepAlive'), keepAlive ? 1 : 0)
    return
  }
  if (typeof keepAlive !== 'object' || keepAlive === null || Array.isArray(keepAlive)) {
    throw invalidType('keepAlive', 'a boolean or an object', keepAlive)
  }
  const times: Partial<Record<keyof KeepAliveOptions, unknown>> = checkObject('keepAlive', keepAlive)
  checkKeys(
    'keepAlive',
    times,
    keepAliveUnits.map(([key]) => key),
  )
  // The times go first, so that the first probe is already timed by them.
  for (const [key, { encode }] of keepAliveUnits) {
    const name = KEEP_ALIVE + key
    if (times[key] !== undefined) settings.push(idOf(name), encode(name, times[key]))
  }
  settings.push(idOf('keepAlive'), 1)
}

/**
 * @internal Checks the socket options among `options`, and converts them to ids and values for the core. Other
 * properties are ignored, and `undefined` counts as left out.
 *
 * Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE), a RangeError (ERR_C1M_OUT_OF_RANGE), or ERR_C1M_UNSUPPORTED_OPTION for
 * a listener's option on a connection, where the kernel would accept it without effect.
 */
export function encodeSocketOptions(options: SocketOptions, where: 'listener' | 'connection'): EncodedSocketOptions {
  const settings: number[] = []
  if (options.keepAlive !== undefined) encodeKeepAlive(options.keepAlive, settings)
  for (const [name, unit] of plainUnits) {
    const value: unknown = options[name as keyof SocketOptions]
    if (value === undefined) continue
    const encoded = unit.encode(name, value)
    if (where === 'connection' && unit.where === 'listener') throw unsupportedOption(name, 'is for listeners only')
    settings.push(idOf(name), encoded)
  }
  const congestion: unknown = options.congestion
  if (congestion === undefined) return { settings }
  if (typeof congestion !== 'string') throw invalidType('congestion', 'a string', congestion)
  if (!/^[\x21-\x7e]{1,15}$/.test(congestion)) throw outOfRange('congestion', '1 to 15 ASCII characters', congestion)
  return { settings, congestion }
}

/** @internal Checks the options of `conn.setOptions()`, and encodes them as above. */
export function encodeSetOptions(options: SocketOptions): EncodedSocketOptions {
  const given = checkObject('options', options)
  checkKeys('options', given, socketOptionKeys)
  return encodeSocketOptions(given, 'connection')
}

/** @internal Converts `[id, value, …]`, as the core read it from a socket, to properties. */
export function decodeSocketOptions(values: ArrayLike<number>, congestion?: string): AppliedSocketOptions {
  const applied: Record<string, unknown> = {}
  const times: Record<string, unknown> = { idleMs: 0, intervalMs: 0, count: 0 }
  for (let at = 0; at + 1 < values.length; at += 2) {
    const [name = '', unit] = rows[values[at] as number] ?? []
    const value = unit?.decode(values[at + 1] as number)
    if (value === undefined) continue
    if (name.startsWith(KEEP_ALIVE)) times[name.slice(KEEP_ALIVE.length)] = value
    else applied[name] = value
  }
  if (applied.keepAlive === true) applied.keepAlive = times
  if (congestion !== undefined) applied.congestion = congestion
  return applied
}

/** @internal Returns the error for an option that the system refused, or for another failure. */
export function failureOf(failure: Failure): Error {
  if (failure.option === undefined) return systemError(failure.errno, failure.syscall)
  if (failure.unsupported === true) return unsupportedOption(failure.option)
  const error = systemError(failure.errno, failure.syscall)
  return Object.assign(error, { message: `${error.message} (option "${failure.option}")` })
}

/** @internal Returns the error for an option that isn't available here; `why` completes the sentence. */
export function unsupportedOption(name: string, why = 'is not supported by this system or protocol'): C1mError {
  return new C1mError('ERR_C1M_UNSUPPORTED_OPTION', `The option "${name}" ${why}`)
}
