import { invalidValue } from '../base/errors.js'
import { checkBoolean, checkInteger, checkKeys, checkOneOf, checkString, keysOf, type Meant } from '../base/validate.js'
import type { Connection } from '../connection/connection.js'
import type { ListenSpec } from '../native/binding-types.js'
import { PLACEMENTS } from '../native/layout.js'
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

/**
 * The rule for which I/O thread gets a new connection.
 *
 * - `'least-connections'`: one with the fewest connections, counting those of other listeners and outgoing ones
 * - `'round-robin'`: each in turn
 * - `'source-hash'`: by the peer's address, so that all its connections are on one thread; each in turn on a Unix
 *   socket
 * - `'reuse-port'`: each thread listens and accepts on its own, and the kernel chooses by a hash of both addresses and
 *   ports: the way to accept the most connections a second. (SO_REUSEPORT, socket(7))
 * - `'cpu'`: the same, but the kernel chooses the thread that is pinned to the CPU on which it received the connection.
 *   If the threads aren't pinned, the first CPU belongs to the first thread. So a connection's packets and its thread
 *   stay on one CPU if the network card spreads them. (SO_ATTACH_REUSEPORT_CBPF, socket(7))
 *
 * With the first three one thread accepts for all.
 */
export type Placement = (typeof PLACEMENTS)[number] | 'reuse-port' | 'cpu'

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
   * Accepts only IPv6 on an IPv6 address; on an IPv4 address it is ERR_C1M_UNSUPPORTED_OPTION. Default: `false`.
   * (IPV6_V6ONLY, ipv6(7))
   */
  ipv6Only?: boolean | undefined
  /**
   * Path of a Unix socket, up to 107 bytes; a leading NUL makes it an abstract one. A stale socket file is replaced, a
   * live one rejects with EADDRINUSE. The file is removed when the listener closes. (unix(7))
   */
  path?: string | undefined
  /**
   * The descriptor of an existing listening socket, for example of systemd's socket activation. It is duplicated: the
   * number stays yours, and the socket with its queue lives until both are closed; a Unix socket's file stays. It
   * becomes non-blocking for all of its users. It excludes `port`, `path`, `host`, `ipv6Only`, `backlog`, `reusePort`,
   * `exclusive` and `protocol`. (fcntl(2) with F_DUPFD_CLOEXEC)
   */
  fd?: number | undefined
  /**
   * Connections that may wait to be accepted; the max is `net.core.somaxconn`. 1 to 2^31-1. Default: 4096. (listen(2))
   */
  backlog?: number | undefined
  /**
   * Lets several listeners share the port, if all of them set this. Default: `false`; `true` in a `cluster` worker.
   * (SO_REUSEPORT, socket(7))
   */
  reusePort?: boolean | undefined
  /** Keeps a `cluster` worker from sharing the port with the other workers. Default: `false`. */
  exclusive?: boolean | undefined
  /** The rule for which of the reactor's I/O threads gets a connection. Default: `'least-connections'`. */
  placement?: Placement | undefined
  /** `'mptcp'` listens with Multipath TCP (RFC 8684); plain TCP clients are served as well. Default: `'tcp'`. */
  protocol?: 'tcp' | 'mptcp' | undefined
  /**
   * The value of `conn.data` from the start, in `open` already. A function is called for each connection, when its
   * object is made, and returns the value; any other value is the same for all. Default: `undefined`.
   */
  data?: T | ((conn: Connection<T>) => T) | undefined
}

/** Address and options of `listen()`: a `port` (TCP), a `path` (Unix socket), or the socket of an `fd`. */
export type ListenOptions<T = unknown> = ListenSettings<T> &
  (
    | { port: number; path?: undefined; fd?: undefined }
    | { path: string; port?: undefined; fd?: undefined; host?: undefined }
    | { fd: number; port?: undefined; path?: undefined; host?: undefined }
  )

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

const MEANT_BY_LISTEN: Meant = {
  ...MEANT_OF_ANY,
  hostname: 'host',
  unix: 'path',
  dropMaxConnection: 'maxConnections is an option of the Reactor',
  maxConnections: 'it is an option of the Reactor',
  reuseAddr: 'it is always set',
}

/** @internal Checks the options of `listen()`. */
export function checkListenOptions<T>(options: ListenSettings<T>): {
  spec: Omit<ListenSpec, 'connections' | 'reusePort' | 'reusePortOnceBound' | 'steerByCpu' | 'accepts' | 'spread'>
  placement: Placement
  exclusive: boolean
  reusePort: boolean | undefined
  newData: NewData
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
    newData: typeof data === 'function' ? (data as (conn: never) => unknown) : constant(data),
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

function checkPlacement({ placement = 'least-connections', path, fd, reusePort }: ListenSettings): Placement {
  checkOneOf('placement', placement, [...PLACEMENTS, 'reuse-port', 'cpu'])
  const byKernel = placement === 'reuse-port' || placement === 'cpu'
  if (byKernel && fd !== undefined) {
    throw invalidValue(`"fd" is a single socket, and the placement '${placement}' needs one for each thread`)
  }
  if (byKernel && path !== undefined) {
    throw invalidValue(`"path" is a Unix socket, which has no placement '${placement}'`)
  }
  if (placement === 'cpu' && reusePort === true) {
    throw invalidValue('The placement "cpu" steers all connections to the port: it can\'t be shared by "reusePort"')
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
    throw invalidValue('"reusePort" shares the address and "exclusive" refuses to share it: give one of them')
  }
  if (options.fd !== undefined) return checkDescriptor(options)
  if (path !== undefined) {
    for (const name of ['port', 'host', 'ipv6Only', 'reusePort', 'protocol'] as const) {
      if (options[name] !== undefined) throw invalidValue(`"path" is a Unix socket, which has no "${name}"`)
    }
    if (checkString('path', path) === '') throw invalidValue('"path" must not be empty')
    return { fd: undefined, host: undefined, port: 0, path }
  }
  if (port === undefined) throw invalidValue('"port" or "path" or "fd" must be given')
  if (host !== undefined && checkString('host', host) === '') throw invalidValue('"host" must not be empty')
  return { fd: undefined, host, port: checkInteger('port', port, 0, 65_535), path: undefined }
}
