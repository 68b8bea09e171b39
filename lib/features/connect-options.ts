import { lookup as systemLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { invalidType, invalidValue } from '../base/errors.js'
import {
  checkBoolean,
  checkInteger,
  checkKeys,
  checkObject,
  checkOneOf,
  checkSignal,
  checkString,
  keysOf,
  type Meant,
} from '../base/validate.js'
import type { ConnectSpec } from '../native/binding-types.js'
import {
  type ConnectionOptions,
  checkConnectionOptions,
  checkGiven,
  connectionOptionKeys,
  constant,
  MEANT_OF_ANY,
  type NewData,
} from '../options/connection-options.js'
import { encodeSocketOptions, type SocketOptions, socketOptionKeys } from '../options/socket-options.js'
import { familyOf } from './connect-addresses.js'

/** The options of `connect()`, one by one: see `ConnectOptions`. `T` is the type of `conn.data`. */
export interface ConnectSettings<T = unknown>
  extends Omit<SocketOptions, 'deferAcceptMs' | 'fastOpen' | 'incomingCpu'>,
    ConnectionOptions {
  /** TCP port, 1 to 65535. */
  port?: number | undefined
  /**
   * Address literal, which needs no DNS, or host name. A link-local address needs its interface: `'fe80::1%eth0'`.
   * Default: `'localhost'`. (connect(2))
   */
  host?: string | undefined
  /** Path of a Unix socket, up to 107 bytes; a leading NUL makes it an abstract one. (unix(7)) */
  path?: string | undefined
  /** The only family of addresses to try: 4, 6, or 0 for both. Default: 0, or the family of `localAddress`. */
  family?: 0 | 4 | 6 | undefined
  /**
   * Resolves the host name in place of `dns.lookup`, as in `node:net`. It is called with `all: true`, and may return
   * one address or a list.
   */
  lookup?: LookupFunction | undefined
  /**
   * Tries all addresses of a name, both families in turn, each one a while after the one before (RFC 8305, "happy
   * eyeballs"); the first that connects wins, and the others are cancelled. `false` tries the first address only.
   * Default: `true`.
   */
  autoSelectFamily?: boolean | undefined
  /**
   * Milliseconds that one address may take before the next is tried in addition; one that fails is followed
   * immediately. 10 to 2^31-1. Default: 250.
   */
  autoSelectFamilyAttemptTimeout?: number | undefined
  /** Address literal from which to connect. Default: the kernel's choice. (bind(2)) */
  localAddress?: string | undefined
  /**
   * Port from which to connect, 0 to 65535. 0 lets the kernel choose when it knows the destination, so that one local
   * address has all its ports for each destination (IP_BIND_ADDRESS_NO_PORT, ip(7)). Default: 0.
   */
  localPort?: number | undefined
  /**
   * Milliseconds after which the attempt is cancelled with ETIMEDOUT, name resolution and all addresses included. 0 to
   * 2^31-1; 0 leaves it to the kernel, which takes two minutes by default (`net.ipv4.tcp_syn_retries`). Default: 0.
   */
  connectTimeoutMs?: number | undefined
  /**
   * Cancels the attempt, and rejects with the signal's reason. It has no effect on the connection once that is open.
   */
  signal?: AbortSignal | undefined
  /**
   * Sends the first bytes that are written with the SYN, if the server has given this client a cookie before: it saves
   * a round trip. The promise then resolves before the server has replied, and a refusal is the error of `close`, at
   * the first write. A SYN may be repeated: use it only for requests that do no harm when they arrive twice. Needs the
   * client's bit, 1, in `net.ipv4.tcp_fastopen`, or rejects with ERR_C1M_UNSUPPORTED_OPTION. Default: `false`.
   * (TCP_FASTOPEN_CONNECT, tcp(7); RFC 7413)
   */
  fastOpen?: boolean | undefined
  /** `'mptcp'` connects with Multipath TCP (RFC 8684), or plain TCP if the peer has none. Default: `'tcp'`. */
  protocol?: 'tcp' | 'mptcp' | undefined
  /** The value of `conn.data` from the start, in `open` already. Default: `undefined`. */
  data?: T | undefined
}

/** Target and options of `connect()`: a `port` (TCP) or a `path` (Unix socket). */
export type ConnectOptions<T = unknown> = ConnectSettings<T> &
  ({ port: number; path?: undefined } | { path: string; port?: undefined; host?: undefined })

type Template = Omit<ConnectSpec, 'host' | 'connectTimeoutMs' | 'connection'>

/** @internal The options of `connect()`, checked. */
export interface CheckedConnect extends ReturnType<typeof checkConnectionOptions> {
  readonly spec: Template
  readonly host: string
  readonly family: 0 | 4 | 6
  readonly lookup: LookupFunction
  readonly autoSelectFamily: boolean
  readonly attemptTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly newData: NewData
}

const connectOptionKeys = [
  ...socketOptionKeys,
  ...connectionOptionKeys,
  ...keysOf<Omit<ConnectSettings, keyof SocketOptions | keyof ConnectionOptions>>({
    port: true,
    host: true,
    path: true,
    family: true,
    lookup: true,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: true,
    localAddress: true,
    localPort: true,
    connectTimeoutMs: true,
    signal: true,
    protocol: true,
    data: true,
  }),
]

const MEANT_BY_CONNECT: Meant = {
  ...MEANT_OF_ANY,
  hostname: 'host',
  unix: 'path',
  timeout: 'connectTimeoutMs',
  localHost: 'localAddress',
  reusePort: 'it is an option of listen()',
}

const MAX_MS = 2 ** 31 - 1
const DEFAULT_ATTEMPT_TIMEOUT_MS = 250

/** @internal */
export function checkConnectOptions<T>(options: ConnectSettings<T>): CheckedConnect {
  const { fastOpen = false, ...others } = checkGiven(options)
  const given = checkObject<ConnectSettings<T>>('options', others)
  checkKeys('options', given, connectOptionKeys, MEANT_BY_CONNECT)
  const { protocol = 'tcp', lookup = systemLookup, autoSelectFamily = true, connectTimeoutMs = 0 } = given
  const { autoSelectFamilyAttemptTimeout = DEFAULT_ATTEMPT_TIMEOUT_MS, signal } = given
  const { settings, congestion } = encodeSocketOptions(given, 'connection')
  if (typeof lookup !== 'function') throw invalidType('lookup', 'a function', lookup)
  checkSignal(signal)
  const { host, port, path, family, localAddress, localPort } = checkWhere(given, fastOpen)
  const common = checkConnectionOptions(given)
  return {
    settings: common.settings,
    context: common.context,
    spec: {
      port,
      path,
      localAddress,
      localPort,
      mptcp: checkOneOf('protocol', protocol, ['tcp', 'mptcp']) === 'mptcp',
      fastOpen: checkBoolean('fastOpen', fastOpen),
      settings,
      congestion,
    },
    host,
    family,
    lookup,
    autoSelectFamily: checkBoolean('autoSelectFamily', autoSelectFamily),
    attemptTimeoutMs: checkInteger('autoSelectFamilyAttemptTimeout', autoSelectFamilyAttemptTimeout, 10, MAX_MS),
    connectTimeoutMs: checkInteger('connectTimeoutMs', connectTimeoutMs, 0, MAX_MS),
    signal,
    newData: constant(given.data),
  }
}

const IP_ONLY = ['port', 'host', 'family', 'lookup', 'localAddress', 'localPort', 'protocol'] as const

function checkWhere(
  options: Partial<ConnectSettings>,
  fastOpen: boolean,
): Pick<CheckedConnect, 'host' | 'family'> & Pick<Template, 'port' | 'path' | 'localAddress' | 'localPort'> {
  const { port, host = 'localhost', path, localAddress, localPort = 0 } = options
  if (path !== undefined) {
    for (const name of IP_ONLY) {
      if (options[name] !== undefined) throw invalidValue(`"path" is a Unix socket, which has no "${name}"`)
    }
    if (fastOpen) throw invalidValue('"path" is a Unix socket, which has no "fastOpen"')
    if (checkString('path', path) === '') throw invalidValue('"path" must not be empty')
    return { host: '', family: 0, port: 0, path, localAddress: undefined, localPort: 0 }
  }
  if (port === undefined) throw invalidValue('"port" or "path" must be given')
  checkInteger('port', port, 1, 65_535)
  if (checkString('host', host) === '') throw invalidValue('"host" must not be empty')
  checkInteger('localPort', localPort, 0, 65_535)
  return { host, family: checkFamily(options, host), port, path: undefined, localAddress, localPort }
}

/** Returns the only possible family, or 0. */
function checkFamily({ family = 0, localAddress }: Partial<ConnectSettings>, host: string): 0 | 4 | 6 {
  if (typeof family !== 'number') throw invalidType('family', '0, 4 or 6', family)
  if (family !== 0 && family !== 4 && family !== 6) throw invalidValue(`"family" must be 0, 4 or 6, got ${family}`)
  const local = localAddress === undefined ? 0 : familyOf(checkString('localAddress', localAddress))
  if (localAddress !== undefined && local === 0) {
    throw invalidValue(`"localAddress" must be an address literal, got '${localAddress}'`)
  }
  const given = [
    ['host', familyOf(host)],
    ['family', family],
    ['localAddress', local],
  ] as const
  const [first, ...others] = given.filter(([, one]) => one !== 0)
  const other = others.find(([, one]) => one !== first?.[1])
  if (first !== undefined && other !== undefined) {
    throw invalidValue(`"${first[0]}" is IPv${first[1]} and "${other[0]}" is IPv${other[1]}`)
  }
  return first?.[1] ?? 0
}
