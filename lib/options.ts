import { availableParallelism } from 'node:os'
import type { ConnectionSettings, ListenSpec } from './binding.js'
import type { Connection } from './connection.js'
import type { ConnectionContext } from './connection-context.js'
import { invalidType, invalidValue } from './errors.js'
import { checkFraming, type Framing } from './framing.js'
import { PLACEMENTS } from './layout.js'
import { encodeSocketOptions, type SocketOptions, socketOptionKeys } from './socket-options.js'
import {
  checkBoolean,
  checkInteger,
  checkKeys,
  checkObject,
  checkOneOf,
  checkString,
  keysOf,
  type Meant,
} from './validate.js'

/** Options of a `Reactor`. */
export interface ReactorOptions {
  /**
   * The most connections held at once, over all listeners. At the limit the listeners stop accepting, and new
   * connections wait in the kernel's backlog; accepting goes on once 1/32 of the limit (at least one) has become free.
   * Each costs 12 bytes of address space, used or not.
   * An integer from 1 to 16,777,216. Default: 1,048,576 (Linux's default `fs.nr_open`).
   */
  maxConnections?: number | undefined
  /**
   * How readiness is asked of the kernel: `'edge'` registers each socket once (EPOLLET), `'level'` changes the
   * registration as interest changes. It exists to be measured against; the behaviour is the same. Default: `'edge'`.
   */
  trigger?: 'edge' | 'level' | undefined
  /**
   * Overwrites every borrowed chunk with 0xDD when its handler returns, so that code which keeps one fails at once
   * instead of seldom. Default: `false`.
   */
  poisonBorrowed?: boolean | undefined
  /**
   * How many I/O threads serve the connections, or more about them. 1 to 64; `'auto'` is one for each CPU but one, which is
   * for handlers. Each is a loop of its own; a connection stays on one. Default: 1, which feeds one busy JS thread with
   * simple handlers only in part: see the guide on capacity.
   */
  ioThreads?: number | 'auto' | IoThreadsOptions | undefined
}

/** The I/O threads of a `Reactor`. */
export interface IoThreadsOptions {
  /** 1 to 64, or `'auto'`. Default: as many as there are `cpus`, or else 1. */
  count?: number | 'auto' | undefined
  /**
   * The CPUs to pin them to, one each, in turn if there are more threads than CPUs; 0 to 1023. Default: they run where
   * this thread may run. (pthread_attr_setaffinity_np(3))
   */
  cpus?: readonly number[] | undefined
  /**
   * Gives each thread a file table of its own, so that RLIMIT_NOFILE and `fs.nr_open` count for each of them by itself: 16
   * threads hold 16 times as many connections as the limit allows a process. Sockets that are adopted and descriptors of
   * files are passed on, and nothing else changes. Linux 5.9; where the kernel or a sandbox has no such calls the
   * constructor throws ERR_C1M_UNSUPPORTED_OPTION. Default: `false`.
   * (close_range(2) with CLOSE_RANGE_UNSHARE, pidfd_getfd(2), SCM_RIGHTS)
   */
  ownFileTable?: boolean | undefined
}

/**
 * Which I/O thread gets a new connection.
 *
 * - `'least-connections'`: one that holds fewest, those of other listeners and outgoing ones included
 * - `'round-robin'`: each in turn
 * - `'source-hash'`: by the peer's address, so that all its connections meet; on a Unix socket each in turn
 * - `'reuse-port'`: each thread listens and accepts by itself, and the kernel chooses by a hash of both addresses and
 *   ports: the way to accept the most connections a second. (SO_REUSEPORT, socket(7))
 * - `'cpu'`: the same, but the thread that is pinned to the CPU on which the kernel received the connection, the first
 *   CPU's thread being the first if they aren't pinned; so a connection's packets and its thread stay on one CPU where
 *   the network card spreads them. (SO_ATTACH_REUSEPORT_CBPF, socket(7))
 *
 * With the first three one thread accepts for all.
 */
export type Placement = (typeof PLACEMENTS)[number] | 'reuse-port' | 'cpu'

/** How connections are served: those of a listener, or one that was opened. */
export interface ConnectionOptions {
  /**
   * `'owned'`: a chunk is the handler's to keep; it is a slice of a slab of 256 KiB, which it keeps alive, so copy what
   * you keep for long. `'borrowed'`: it is valid until the handler returns, and its memory is then used again;
   * nothing is allocated. Default: `'owned'`.
   */
  read?: 'owned' | 'borrowed' | undefined
  /** Bytes queued on a connection from which `write()` answers `false`. 1 to 2^30. Default: 65,536. */
  highWaterMark?: number | undefined
  /**
   * Bytes that may be queued on a connection, also by broadcasts and workers; and what entries, as of files, cost besides
   * (docs/capacity.md). A write beyond, also a single large one, destroys it with ERR_C1M_WRITE_QUEUE_FULL. `highWaterMark` to 2^30. Default: 16 MiB (and at least `highWaterMark`).
   */
  maxWriteQueue?: number | undefined
  /**
   * Milliseconds without a byte read, written or acknowledged by the peer after which `timeout` is called (or, without that handler, the
   * connection destroyed with ERR_C1M_IDLE_TIMEOUT). 0 is never; up to 2^31-1. Default: 0.
   */
  idleTimeoutMs?: number | undefined
  /**
   * Milliseconds without a byte read, while it isn't paused and the peer hasn't sent its FIN: against peers that keep a
   * connection and send nothing, whatever is sent to them. As above, with ERR_C1M_READ_TIMEOUT. Default: 0.
   */
  readTimeoutMs?: number | undefined
  /**
   * Milliseconds during which bytes are queued, none goes to the kernel, and the peer acknowledges none: against peers that
   * don't read. What the kernel has taken doesn't begin it, see `userTimeoutMs`. As above, with ERR_C1M_WRITE_TIMEOUT.
   * Default: 0.
   */
  writeTimeoutMs?: number | undefined
  /**
   * Milliseconds since the connection opened, whatever it does: gRPC's MAX_CONNECTION_AGE, Envoy's
   * max_connection_duration. As above, with ERR_C1M_CONNECTION_TIMEOUT. Default: 0.
   */
  totalTimeoutMs?: number | undefined
  /**
   * Cuts what arrives into frames, see `lengthPrefixed()` and `delimited()`: `data` gets one whole frame at a time. A frame
   * beyond its `maxFrameBytes` closes the connection with ERR_C1M_FRAME_TOO_LARGE, after those before it have been
   * delivered. Default: bytes as they come.
   */
  framing?: Framing | undefined
  /** `false` ends our side by itself once the `end` handler has returned, as in `node:net`. Default: `false`. */
  allowHalfOpen?: boolean | undefined
}

/** The options of `listen()`, one by one: see `ListenOptions`. `T` is the type of `conn.data`. */
export interface ListenSettings<T = unknown> extends SocketOptions, ConnectionOptions {
  /** TCP port, 0 to 65535; 0 lets the kernel choose, see `listener.address()`. */
  port?: number | undefined
  /**
   * Host name or address literal. Default: `'::'`, which also takes IPv4 (dual stack), or `'0.0.0.0'` on a host
   * without IPv6. A name is resolved with `dns.lookup`, and its first address is used. (bind(2))
   */
  host?: string | undefined
  /**
   * Takes only IPv6 on an IPv6 address; on an IPv4 address it is ERR_C1M_UNSUPPORTED_OPTION. Default: `false`.
   * (IPV6_V6ONLY, ipv6(7))
   */
  ipv6Only?: boolean | undefined
  /**
   * Path of a Unix socket, up to 107 bytes; a leading NUL makes it an abstract one. A stale socket file is replaced, a
   * live one rejects with EADDRINUSE. The file is removed when the listener closes. (unix(7))
   */
  path?: string | undefined
  /**
   * The descriptor of a listening socket that there is already, for example of systemd's socket activation. It is
   * duplicated: the number stays yours, and the socket with its queue lives until both are closed; a Unix socket's file
   * stays. It is made non-blocking, for all who have it. With it there is no `port`, `path`, `host`, `ipv6Only`, `backlog`,
   * `reusePort`, `exclusive` or `protocol`. (fcntl(2) with F_DUPFD_CLOEXEC)
   */
  fd?: number | undefined
  /**
   * Connections that may wait to be accepted; capped by `net.core.somaxconn`. 1 to 2^31-1. Default: 4096. (listen(2))
   */
  backlog?: number | undefined
  /**
   * Lets several listeners share the port, if all of them set this. Default: `false`, in a `cluster` worker `true`.
   * (SO_REUSEPORT, socket(7))
   */
  reusePort?: boolean | undefined
  /** In a `cluster` worker: don't share the port with the other workers. Default: `false`. */
  exclusive?: boolean | undefined
  /** Which of the reactor's I/O threads gets a connection. Default: `'least-connections'`. */
  placement?: Placement | undefined
  /** `'mptcp'` listens with Multipath TCP (RFC 8684); plain TCP clients are served as well. Default: `'tcp'`. */
  protocol?: 'tcp' | 'mptcp' | undefined
  /**
   * What `conn.data` is from the start, in `open` already. A function is called for each connection, when its object is
   * made, and returns it; anything else is the same for all. Default: `undefined`.
   */
  data?: T | ((conn: Connection<T>) => T) | undefined
}

/** Where and how to listen: on a `port` (TCP), on a `path` (Unix socket), or by the socket of an `fd`. */
export type ListenOptions<T = unknown> = ListenSettings<T> &
  (
    | { port: number; path?: undefined; fd?: undefined }
    | { path: string; port?: undefined; fd?: undefined; host?: undefined }
    | { fd: number; port?: undefined; path?: undefined; host?: undefined }
  )

const reactorOptionKeys = keysOf<ReactorOptions>({
  maxConnections: true,
  trigger: true,
  poisonBorrowed: true,
  ioThreads: true,
})
const ioThreadsOptionKeys = keysOf<IoThreadsOptions>({ count: true, cpus: true, ownFileTable: true })

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

const listenOptionKeys = [
  ...socketOptionKeys,
  ...connectionOptionKeys,
  ...keysOf<Omit<ListenSettings, keyof SocketOptions | keyof ConnectionOptions>>({
    port: true,
    host: true,
    ipv6Only: true,
    path: true,
    fd: true,
    backlog: true,
    reusePort: true,
    exclusive: true,
    placement: true,
    protocol: true,
    data: true,
  }),
]

const HANDLERS_APART = 'handlers are the second argument'
/** What `node:net`, `tls` and Bun have, and how it is done here. */
const MEANT_OF_ANY: Meant = {
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
const MEANT_BY_LISTEN: Meant = {
  ...MEANT_OF_ANY,
  hostname: 'host',
  unix: 'path',
  dropMaxConnection: 'maxConnections is an option of the Reactor',
  maxConnections: 'it is an option of the Reactor',
  reuseAddr: 'it is always set',
}
/** @internal */
export const MEANT_BY_CONNECT: Meant = {
  ...MEANT_OF_ANY,
  hostname: 'host',
  unix: 'path',
  timeout: 'connectTimeoutMs',
  localHost: 'localAddress',
  reusePort: 'it is an option of listen()',
}

const MAX_MS = 2 ** 31 - 1
const MAX_QUEUE_BYTES = 2 ** 30
const DEFAULT_HIGH_WATER_MARK = 64 * 1024
const DEFAULT_MAX_WRITE_QUEUE = 16 * 1024 * 1024

/** @internal */
export function checkReactorOptions(options: ReactorOptions | undefined): {
  maxConnections: number
  level: boolean
  poisonBorrowed: boolean
  cpus: readonly number[]
  ownFileTable: boolean
} {
  const given = checkObject('options', options)
  checkKeys('options', given, reactorOptionKeys)
  const { maxConnections = 2 ** 20, trigger = 'edge', poisonBorrowed = false, ioThreads = 1 } = given
  return {
    maxConnections: checkInteger('maxConnections', maxConnections, 1, 2 ** 24),
    level: checkOneOf('trigger', trigger, ['edge', 'level']) === 'level',
    poisonBorrowed: checkBoolean('poisonBorrowed', poisonBorrowed),
    ...checkIoThreads(ioThreads),
  }
}

const MAX_IO_THREADS = 64
/** Not pinned. */
const ANY_CPU = -1

/** A CPU for each thread, and their file tables. */
function checkIoThreads(ioThreads: Exclude<ReactorOptions['ioThreads'], undefined>): {
  cpus: number[]
  ownFileTable: boolean
} {
  if (typeof ioThreads !== 'object') {
    return { cpus: Array<number>(checkCount('ioThreads', ioThreads)).fill(ANY_CPU), ownFileTable: false }
  }
  const given = checkObject('ioThreads', ioThreads)
  checkKeys('ioThreads', given, ioThreadsOptionKeys)
  const { cpus = [] } = given
  checkCpus('ioThreads.cpus', cpus)
  const count = checkCount('ioThreads.count', given.count ?? Math.max(cpus.length, 1))
  return {
    cpus: Array.from({ length: count }, (_, at) => cpus[at % cpus.length] ?? ANY_CPU),
    ownFileTable: checkBoolean('ioThreads.ownFileTable', given.ownFileTable ?? false),
  }
}

/** @internal Numbers of CPUs. */
export function checkCpus(name: string, cpus: unknown): readonly number[] {
  if (!Array.isArray(cpus)) throw invalidType(name, 'an array', cpus)
  for (const [at, cpu] of cpus.entries()) checkInteger(`${name}[${at}]`, cpu, 0, 1023)
  return cpus
}

function checkCount(name: string, count: number | 'auto'): number {
  if (count === 'auto') return Math.min(Math.max(availableParallelism() - 1, 1), MAX_IO_THREADS)
  if (typeof count !== 'number') throw invalidType(name, "a number or 'auto'", count)
  return checkInteger(name, count, 1, MAX_IO_THREADS)
}

/** @internal Checks what listeners and connections have in common; parts it into what the core and what lib/ needs. */
export function checkConnectionOptions(options: ConnectionOptions): {
  settings: Omit<ConnectionSettings, 'context'>
  context: Pick<ConnectionContext, 'highWaterMark' | 'maxWriteQueue' | 'allowHalfOpen' | 'framing'>
} {
  const { read = 'owned', allowHalfOpen = false } = options
  const { idleTimeoutMs = 0, readTimeoutMs = 0, writeTimeoutMs = 0, totalTimeoutMs = 0 } = options
  const framing = checkFraming(options.framing)
  const { highWaterMark = DEFAULT_HIGH_WATER_MARK } = options
  const leastQueue = checkInteger('highWaterMark', highWaterMark, 1, MAX_QUEUE_BYTES)
  const { maxWriteQueue = Math.max(DEFAULT_MAX_WRITE_QUEUE, leastQueue) } = options
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
      maxWriteQueue: checkInteger('maxWriteQueue', maxWriteQueue, leastQueue, MAX_QUEUE_BYTES),
      allowHalfOpen: checkBoolean('allowHalfOpen', allowHalfOpen),
    },
  }
}

/** How `listen()` and `connect()` take what `node:net` takes as an argument of its own; undefined for anything else. */
function asOption(given: unknown): string | undefined {
  if (typeof given === 'number') return `{ port: ${given} }`
  return typeof given === 'string' ? (/^\d+$/.test(given) ? `{ port: ${given} }` : '{ path }') : undefined
}

/** @internal The options of `listen()` and `connect()`, which have to be given. */
export function checkGiven<T extends object>(options: T): Partial<T> {
  if (options === undefined) throw invalidType('options', 'an object', options)
  return checkObject('options', options, asOption(options))
}

/** @internal Checks the options of `listen()`. */
export function checkListenOptions<T>(options: ListenSettings<T>): {
  spec: Omit<ListenSpec, 'connections' | 'reusePort' | 'reusePortOnceBound' | 'steerByCpu' | 'accepts' | 'spread'>
  placement: Placement
  exclusive: boolean
  reusePort: boolean | undefined
  newData: ConnectionContext['newData']
} & ReturnType<typeof checkConnectionOptions> {
  const given = checkGiven(options)
  checkKeys('options', given, listenOptionKeys, MEANT_BY_LISTEN)
  const { data } = given
  const socket = encodeSocketOptions(given, 'listener')
  const { backlog = 4096, ipv6Only = false, protocol = 'tcp' } = given
  return {
    ...checkConnectionOptions(given),
    placement: checkPlacement(given),
    exclusive: given.exclusive === true,
    reusePort: given.reusePort,
    newData: typeof data === 'function' ? (data as (conn: Connection<never>) => unknown) : constant(data),
    spec: {
      ...checkAddress(given),
      backlog: checkInteger('backlog', backlog, 1, 2 ** 31 - 1),
      ipv6Only: checkBoolean('ipv6Only', ipv6Only),
      mptcp: checkOneOf('protocol', protocol, ['tcp', 'mptcp']) === 'mptcp',
      settings: socket.settings,
      congestion: socket.congestion,
    },
  }
}

/** @internal What makes a connection's `data` of the same value. */
export function constant(value: unknown): ConnectionContext['newData'] {
  return value === undefined ? undefined : () => value
}

function checkPlacement({ placement = 'least-connections', path, fd, reusePort }: ListenSettings): Placement {
  checkOneOf('placement', placement, [...PLACEMENTS, 'reuse-port', 'cpu'])
  const byKernel = placement === 'reuse-port' || placement === 'cpu'
  if (byKernel && fd !== undefined) throw invalidValue(`"fd" is one socket, and "${placement}" needs more`)
  if (byKernel && path !== undefined) throw invalidValue(`"path" is a Unix socket, which has no "${placement}"`)
  if (placement === 'cpu' && reusePort === true) {
    throw invalidValue('"cpu" steers all that comes to the port: it can\'t be shared with "reusePort"')
  }
  return placement
}

function checkDescriptor(options: ListenSettings): Pick<ListenSpec, 'fd' | 'host' | 'port' | 'path'> {
  for (const name of ['port', 'path', 'host', 'ipv6Only', 'backlog', 'reusePort', 'exclusive', 'protocol'] as const) {
    if (options[name] !== undefined) throw invalidValue(`"fd" is a socket that listens already: it has no "${name}"`)
  }
  return { fd: checkInteger('fd', options.fd, 0, 2 ** 31 - 1), host: undefined, port: 0, path: undefined }
}

function checkAddress(options: ListenSettings): Pick<ListenSpec, 'fd' | 'host' | 'port' | 'path'> {
  const { port, host, path, reusePort, exclusive } = options
  if (reusePort !== undefined) checkBoolean('reusePort', reusePort)
  if (exclusive !== undefined) checkBoolean('exclusive', exclusive)
  if (reusePort === true && exclusive === true) {
    throw invalidValue('"reusePort" shares the address and "exclusive" refuses to: give one of them')
  }
  if (options.fd !== undefined) return checkDescriptor(options)
  if (path !== undefined) {
    for (const name of ['port', 'host', 'ipv6Only', 'reusePort', 'protocol'] as const) {
      if (options[name] !== undefined) throw invalidValue(`"path" is a Unix socket, which has no "${name}"`)
    }
    if (checkString('path', path) === '') throw invalidValue('"path" must not be empty')
    return { fd: undefined, host: undefined, port: 0, path }
  }
  if (port === undefined) throw invalidValue('"port" or "path" must be given, or "fd"')
  if (host !== undefined && checkString('host', host) === '') throw invalidValue('"host" must not be empty')
  return { fd: undefined, host, port: checkInteger('port', port, 0, 65_535), path: undefined }
}
