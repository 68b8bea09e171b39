import { ADDRCONFIG, type LookupAddress, lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { constants } from 'node:os'
import { onAbort } from './abort.js'
import type { ConnectSpec, Failure, Full } from './binding.js'
import type { Connection } from './connection.js'
import { invalidType, invalidValue, reactorFull, systemError } from './errors.js'
import type { IoThread } from './io-thread.js'
import { type ConnectionOptions, checkConnectionOptions, connectionOptionKeys, type Handlers } from './options.js'
import { encodeSocketOptions, failureOf, type SocketOptions, socketOptionKeys } from './socket-options.js'
import {
  checkBoolean,
  checkInteger,
  checkKeys,
  checkObject,
  checkOneOf,
  checkSignal,
  checkString,
  keysOf,
} from './validate.js'

/** Where and how to connect. Give `port` (TCP) or `path` (Unix socket). */
export interface ConnectOptions
  extends Omit<SocketOptions, 'deferAcceptMs' | 'fastOpen' | 'incomingCpu'>,
    ConnectionOptions {
  /** TCP port, 1 to 65535. */
  port?: number
  /**
   * Address literal, which needs no DNS, or host name. A link-local address needs its interface: `'fe80::1%eth0'`.
   * Default: `'localhost'`. (connect(2))
   */
  host?: string
  /** Path of a Unix socket, up to 107 bytes; a leading NUL makes it an abstract one. (unix(7)) */
  path?: string
  /** Only addresses of this family: 4, 6, or 0 for both. Default: 0, or the family of `localAddress`. */
  family?: 0 | 4 | 6
  /**
   * Resolves the host name in place of `dns.lookup`, as in `node:net`. It is called with `all: true`, and may answer
   * with one address or with a list.
   */
  lookup?: LookupFunction
  /**
   * Tries all addresses of a name, both families in turn, each one a while after the one before (RFC 8305, "happy
   * eyeballs"); the first that connects wins, and the others are given up. `false` tries the first address only.
   * Default: `true`.
   */
  autoSelectFamily?: boolean
  /**
   * Milliseconds that one address may take before the next is tried beside it; one that fails is followed at once. 10
   * to 2^31-1. Default: 250.
   */
  autoSelectFamilyAttemptTimeout?: number
  /** Address literal that the connection comes from. Default: the kernel's choice. (bind(2)) */
  localAddress?: string
  /**
   * Port that it comes from, 0 to 65535. 0 lets the kernel choose when it knows the destination, so that one local
   * address has all its ports for each destination (IP_BIND_ADDRESS_NO_PORT, ip(7)). Default: 0.
   */
  localPort?: number
  /**
   * Milliseconds after which the attempt is given up with ETIMEDOUT, name resolution and all addresses included. 0 to
   * 2^31-1; 0 leaves it to the kernel, which takes two minutes by default (`net.ipv4.tcp_syn_retries`). Default: 0.
   */
  connectTimeoutMs?: number
  /** Gives the attempt up, and rejects with the signal's reason. It does nothing to the connection once that is open. */
  signal?: AbortSignal
  /**
   * The first bytes that are written go with the SYN, if the server has given us a cookie before: a round trip less. The
   * promise then resolves before the server has answered, and a refusal is the error of `close`, at the first write. A
   * SYN may be repeated: only for requests that do no harm when they come twice. Needs the client's bit, 1, in
   * `net.ipv4.tcp_fastopen`, or rejects with ERR_C1M_UNSUPPORTED_OPTION. Default: `false`. (TCP_FASTOPEN_CONNECT, tcp(7);
   * RFC 7413)
   */
  fastOpen?: boolean
  /** `'mptcp'` connects with Multipath TCP (RFC 8684), or plain TCP if the peer has none. Default: `'tcp'`. */
  protocol?: 'tcp' | 'mptcp'
}

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
}

/** @internal What an attempt needs of its reactor. */
export interface ConnectOwner {
  readonly io: IoThread
  /** A number for the context of a connection. */
  newContext(): number
  /** The attempt is over. */
  settled(attempt: Connecting<never>): void
}

const connectOptionKeys = [
  ...socketOptionKeys,
  ...connectionOptionKeys,
  ...keysOf<Omit<ConnectOptions, keyof SocketOptions | keyof ConnectionOptions>>({
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
  }),
]

const MAX_MS = 2 ** 31 - 1
const DEFAULT_ATTEMPT_TIMEOUT_MS = 250
/** As `dns.lookup` reports it: libuv's UV_EAI_NONAME. */
const UV_EAI_NONAME = -3008
const NO_HANDLERS: Handlers<unknown> = {}

/** The family of a literal, which may name an interface; 0 for a name. */
function familyOf(address: string): 0 | 4 | 6 {
  return isIP(address.replace(/%.*$/, '')) as 0 | 4 | 6
}

/** @internal */
export function checkConnectOptions(options: ConnectOptions): CheckedConnect {
  if (options === undefined) throw invalidType('options', 'an object', options)
  const { fastOpen = false, ...given } = checkObject<ConnectOptions>('options', options)
  checkKeys('options', given, connectOptionKeys)
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
  }
}

const IP_ONLY = ['port', 'host', 'family', 'lookup', 'localAddress', 'localPort', 'protocol'] as const

function checkWhere(
  options: Partial<ConnectOptions>,
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

/** The one family that it may be, or 0. */
function checkFamily({ family = 0, localAddress }: Partial<ConnectOptions>, host: string): 0 | 4 | 6 {
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

/** One address that is being tried. */
interface Try {
  readonly number: number
  readonly context: { handlers: Handlers<unknown> }
}

/**
 * @internal One call of `connect()`: addresses tried until one of them connects, or all have failed, or it is given up.
 */
export class Connecting<T> {
  readonly #owner: ConnectOwner
  readonly #options: CheckedConnect
  readonly #handlers: Handlers<unknown>
  readonly #resolve: (conn: Connection<T>) => void
  readonly #reject: (error: unknown) => void
  readonly #deadline: number
  readonly #forgetSignal: (() => void) | undefined
  /** Those that have not been tried. */
  #addresses: string[] = []
  readonly #tries = new Set<Try>()
  readonly #errors: Error[] = []
  #timer: NodeJS.Timeout | undefined
  #over = false

  constructor(
    owner: ConnectOwner,
    options: CheckedConnect,
    handlers: Handlers<T>,
    resolve: (conn: Connection<T>) => void,
    reject: (error: unknown) => void,
  ) {
    this.#owner = owner
    this.#options = options
    this.#handlers = handlers as Handlers<unknown>
    this.#resolve = resolve
    this.#reject = reject
    const { connectTimeoutMs, signal } = options
    this.#deadline = connectTimeoutMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + connectTimeoutMs
    if (signal !== undefined) this.#forgetSignal = onAbort(signal, () => this.fail(signal.reason))
  }

  start(): void {
    const { host, spec } = this.#options
    if (spec.path === undefined && familyOf(host) === 0) return this.#lookup()
    this.#addresses = [host]
    this.#next()
  }

  /** Gives it up, unless it is over. */
  fail(error: unknown): void {
    if (this.#finish()) this.#reject(error)
  }

  #lookup(): void {
    const { host, family, lookup, connectTimeoutMs } = this.#options
    // While addresses are tried, the I/O thread watches the time.
    if (connectTimeoutMs > 0) this.#timer = setTimeout(() => this.fail(this.#timedOut()), connectTimeoutMs).unref()
    const hints = family === 0 ? ADDRCONFIG : 0
    try {
      lookup(host, { all: true, family, hints }, (error, found, one) => this.#found(error, found, one))
    } catch (error) {
      this.fail(error)
    }
  }

  #found(error: Error | null, found: string | LookupAddress[], family: number | undefined): void {
    if (this.#over) return
    clearTimeout(this.#timer)
    if (error) return this.fail(error)
    const all = typeof found === 'string' ? [{ address: found, family: family ?? 0 }] : found
    const wrong = all.find(({ address }) => familyOf(address) === 0)
    if (wrong !== undefined) return this.fail(invalidValue(`"lookup" answered '${wrong.address}', which is no address`))
    const { host, autoSelectFamily } = this.#options
    const wanted = all
      .map(({ address }) => address)
      .filter((address) => this.#options.family === 0 || familyOf(address) === this.#options.family)
    if (wanted.length === 0) {
      const code = 'ENOTFOUND'
      const none = new Error(`getaddrinfo ${code} ${host}`)
      return this.fail(Object.assign(none, { code, errno: UV_EAI_NONAME, syscall: 'getaddrinfo', hostname: host }))
    }
    this.#addresses = autoSelectFamily ? interleave(wanted) : wanted.slice(0, 1)
    this.#next()
  }

  /** Tries the next address. */
  #next(): void {
    clearTimeout(this.#timer)
    const address = this.#addresses.shift()
    if (address === undefined) return
    if (this.#addresses.length > 0) {
      this.#timer = setTimeout(() => this.#next(), this.#options.attemptTimeoutMs).unref()
    }
    this.#try(address)
  }

  #try(address: string): void {
    const { io } = this.#owner
    const { spec, settings } = this.#options
    const { highWaterMark, maxWriteQueue, allowHalfOpen, framing } = this.#options.context
    // No spreads: V8 makes a hidden class for each object that is spread and then extended, and here are very many.
    const context = {
      io,
      listener: undefined,
      handlers: this.#handlers,
      highWaterMark,
      maxWriteQueue,
      allowHalfOpen,
      framing,
    }
    const one: Try = { number: this.#owner.newContext(), context }
    this.#tries.add(one)
    const left = this.#deadline - performance.now()
    io.connect(
      {
        host: spec.path === undefined ? address : undefined,
        port: spec.port,
        path: spec.path,
        localAddress: this.#localAddress(address),
        localPort: spec.localPort,
        mptcp: spec.mptcp,
        fastOpen: spec.fastOpen,
        connectTimeoutMs: Number.isFinite(left) ? Math.max(Math.ceil(left), 1) : 0,
        settings: spec.settings,
        congestion: spec.congestion,
        connection: {
          context: one.number,
          borrowed: settings.borrowed,
          idleTimeoutMs: settings.idleTimeoutMs,
          readTimeoutMs: settings.readTimeoutMs,
          writeTimeoutMs: settings.writeTimeoutMs,
          totalTimeoutMs: settings.totalTimeoutMs,
          framing: settings.framing,
        },
      },
      context,
      (conn) => this.#opened(one, conn),
      (failure) => this.#failed(one, address, failure),
    )
  }

  /** Where the connection to this address comes from, if that was asked for. */
  #localAddress(address: string): string | undefined {
    const { localAddress, localPort } = this.#options.spec
    if (localAddress !== undefined || localPort === 0) return localAddress
    return familyOf(address) === 4 ? '0.0.0.0' : '::'
  }

  #opened(one: Try, conn: Connection<unknown>): void {
    this.#tries.delete(one)
    if (this.#finish()) {
      this.#resolve(conn as Connection<T>)
    } else {
      // Another was first, or it was given up just then. Nobody has heard of this one, and nobody will.
      conn.destroy()
    }
  }

  #failed(one: Try, address: string, failure: Failure | Full): void {
    this.#tries.delete(one)
    if (this.#over) return
    if ('full' in failure) {
      this.#errors.push(reactorFull())
    } else if (failure.option !== undefined) {
      // It would be refused for the other addresses as well.
      return this.fail(failureOf(failure))
    } else if (failure.errno === constants.errno.ETIMEDOUT && performance.now() >= this.#deadline) {
      return this.fail(this.#timedOut())
    } else {
      this.#errors.push(this.#errorOf(failure, address))
    }
    if (this.#addresses.length > 0) return this.#next()
    if (this.#tries.size === 0) this.fail(allFailed(this.#errors))
  }

  #errorOf({ errno, syscall }: Failure, address: string): Error {
    const { port, path, localPort } = this.#options.spec
    if (path !== undefined) return systemError(errno, 'connect', { address: path })
    if (syscall === 'bind') {
      const local = this.#localAddress(address)
      return systemError(errno, 'bind', { address: local, ...(localPort > 0 && { port: localPort }) })
    }
    // One name for all that it takes, as in `node:net`: programs compare it.
    return systemError(errno, 'connect', { address, port })
  }

  #timedOut(): Error {
    const { host, spec } = this.#options
    const about = spec.path === undefined ? { address: host, port: spec.port } : { address: spec.path }
    return systemError(constants.errno.ETIMEDOUT, 'connect', about)
  }

  /** False if it was over already. */
  #finish(): boolean {
    if (this.#over) return false
    this.#over = true
    clearTimeout(this.#timer)
    this.#forgetSignal?.()
    for (const { number, context } of this.#tries) {
      // It may be there already, and its events on their way: those are not for the user.
      context.handlers = NO_HANDLERS
      this.#owner.io.cancelConnect(number)
    }
    this.#owner.settled(this as Connecting<never>)
    return true
  }
}

/** The families in turn, beginning with that of the first address (RFC 8305, section 4). */
function interleave(addresses: readonly string[]): string[] {
  const first = familyOf(addresses[0] as string)
  const preferred = addresses.filter((address) => familyOf(address) === first)
  const others = addresses.filter((address) => familyOf(address) !== first)
  const mixed: string[] = []
  for (let i = 0; i < Math.max(preferred.length, others.length); i++) {
    mixed.push(...preferred.slice(i, i + 1), ...others.slice(i, i + 1))
  }
  return mixed
}

/** One error stands for itself; several are one with the code of the first, as in `node:net`. */
function allFailed(errors: readonly Error[]): Error {
  const [first] = errors as readonly [Error & { code?: string }]
  if (errors.length === 1) return first
  const all = new AggregateError(errors, errors.map(({ message }) => message).join(', '))
  return Object.assign(all, { code: first.code })
}
