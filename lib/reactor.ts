import { AsyncResource } from 'node:async_hooks'
import cluster from 'node:cluster'
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { inspect } from 'node:util'
import { isMainThread, threadId } from 'node:worker_threads'
import { checkAborted } from './base/abort.js'
import { reactorClosed, reactorFull, systemError } from './base/errors.js'
import { Moves, Pending } from './base/pending.js'
import { checkNetworkAllowed } from './base/permission.js'
import { needMoreStack } from './base/stack.js'
import { checkNoMore, checkShutdownOptions } from './base/validate.js'
import type { Connection, Handlers } from './connection/connection.js'
import { MovedIds } from './connection/moved-ids.js'
import { Adopter, type AdoptOptions } from './features/adopt.js'
import { Connecting } from './features/connect.js'
import { type CheckedConnect, type ConnectOptions, checkConnectOptions } from './features/connect-options.js'
import { type ConnectionMap, makeConnectionMap } from './features/connection-map.js'
import { type Group, makeGroup } from './features/group.js'
import { checkListenOptions, type ListenOptions } from './features/listen-options.js'
import { listenError, type Opening, onAnyAddress, openOn, resolveHost } from './features/listening.js'
import { checkRebalanceOptions, type RebalanceOptions, rebalance } from './features/rebalance.js'
import { Shutdown, type ShutdownResult } from './features/shutdown.js'
import { checkAttempts, InFlight } from './io/in-flight.js'
import { type Listener, type ListenerState, makeListener } from './listener.js'
import type { STAT_NAMES } from './native/layout.js'
import { checkHandlers, containErrors } from './options/handlers.js'
import { checkReactorOptions, type ReactorOptions } from './options/reactor-options.js'
import { decodeSocketOptions } from './options/socket-options.js'
import type { IoThread } from './thread/io-thread.js'
import type { IoThreadOwner } from './thread/io-thread-owner.js'
import { startThreads } from './thread/start-threads.js'
import { checkWatch, type Watch, type WatchHandler, type WatchInterest } from './thread/watch.js'

/**
 * `reactor.stats()`: counters since the reactor's start, except where they say "now".
 *
 * - `accepted`: connections taken from a listener; `connected`: outgoing ones that were established; `adopted`: sockets
 *   taken over; `closed`: connections of all three kinds whose slot and descriptor are free again
 * - `moved`: connections that moved from one I/O thread to another
 * - `acceptErrors`: accept(2) calls that failed for another reason than an empty queue
 * - `shed`: connections closed immediately for lack of a descriptor or of memory; `saturations`: times that accepting
 *   had to stop
 * - `reads`, `bytesRead`: recv(2) calls that brought bytes, and the bytes; `writes`, `bytesWritten`: send(2) and
 *   sendmsg(2) calls that took bytes, and the bytes
 * - `turns`: turns of the I/O thread's loop; `batches`: batches of events that this thread was given; `jsWakeups`:
 *   times that this thread had to be woken for one
 * - `queueBytes`: memory that all queues hold now: blocks of 4 KiB of copied bytes, large buffers that are sent from
 *   where they lie, the payloads of broadcasts (each counted once), and the cost of each entry (docs/capacity.md)
 * - `relays`: relays started; `bytesRelayed`: bytes relayed in both directions; `relayPipes`: pipes of relays that
 *   contain bytes now
 */
export interface ReactorStats extends Readonly<Record<(typeof STAT_NAMES)[number], number>> {
  /** Connections open now. */
  readonly connections: number
  /**
   * One entry for each I/O thread: its name, as `ps -L` shows it, its open connections now, and its CPU time in
   * microseconds, user and system.
   */
  readonly ioThreads: readonly { readonly name: string; readonly connections: number; readonly cpuMicros: number }[]
}

/**
 * The reactor's `saturated` event: a listener has stopped accepting for a while. Emitted once for each phase and
 * listener.
 */
export interface Saturated {
  /**
   * ERR_C1M_MAX_CONNECTIONS at `maxConnections`, or the system's code: `EMFILE` or `ENFILE` without descriptors,
   * `ENOBUFS` or `ENOMEM` without memory, `ENOSPC` at `fs.epoll.max_user_watches`, or another error of accept(2).
   */
  readonly code: string
  /** The listener that has stopped accepting. */
  readonly listener: Listener<unknown>
}

interface ReactorEvents {
  saturated: [Saturated]
}

/** The number of reactors that this thread has made. */
let reactors = 0

/** @internal */
export let adopterOf: (reactor: Reactor) => Adopter

/**
 * Holds and serves TCP and Unix connections on an I/O thread of its own; handlers run on this thread.
 *
 * A reactor with an open listener or connection keeps the process alive, unless `unref()` was called. One thread may
 * have several reactors, and so may `worker_threads`.
 *
 * Emits `saturated` when accepting has to stop for a while, for lack of descriptors or memory or at `maxConnections`:
 * once for each such phase and each listener that stops. It emits no `error`.
 *
 * @example
 * import { Reactor } from 'c1m'
 *
 * const reactor = new Reactor()
 * await reactor.listen({ port: 7000 }, {
 *   data(conn, chunk) { conn.write(chunk) },
 * })
 */
export class Reactor extends EventEmitter<ReactorEvents> {
  /** The open connections. */
  readonly connections: ConnectionMap
  /** The value that `JSON.stringify()` shows. An own property and a function, so that `structuredClone()` throws. */
  readonly toJSON = () => ({
    connections: this.connections.size,
    listeners: [...this.#listeners()],
    closed: this.#shutdown !== undefined,
  })
  readonly #threads: readonly IoThread[]
  readonly #adopter = new Adopter({
    checkRoom: () => {
      this.#checkOpen()
      if (this.connections.size >= this.#maxConnections) throw reactorFull()
    },
    place: () => this.#place(),
    newContext: () => this.#newContext(),
  })
  readonly #maxConnections: number
  #nextContext = 0
  /** Numbers of contexts that are no longer in use, to be used again: an event has 24 bits for them. */
  readonly #freeContexts: number[] = []
  readonly #connecting = new Set<Connecting<never>>()
  readonly #operations = new Pending()
  readonly #moves = new Moves()
  readonly #ending: Shutdown
  #active = 0
  #questions = 0
  #unrefed = false
  #shutdown: Promise<ShutdownResult> | undefined

  static {
    adopterOf = (reactor) => reactor.#adopter
  }

  /**
   * Starts the I/O threads. Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE) or RangeError
   * (ERR_C1M_OUT_OF_RANGE) for bad options; the system's error if it refuses the thread or its descriptors: EMFILE,
   * ENFILE, ENOMEM, EAGAIN; a RangeError for a CPU on which the process may not run; and ERR_C1M_UNSUPPORTED_OPTION for
   * an `ownFileTable` that isn't available. (epoll_create1(2), eventfd(2), pthread_create(3), close_range(2))
   */
  constructor(options?: ReactorOptions) {
    super()
    const checked = checkReactorOptions(options)
    const moved = new MovedIds()
    const owner: IoThreadOwner = {
      ...checked,
      connectionCount: new Uint32Array(1),
      threadNames: `c1m-io-${isMainThread ? '' : `w${threadId}.`}${reactors++}.`,
      ref: () => {
        if (this.#active++ === 0) this.#updateRef()
      },
      unref: () => {
        if (--this.#active === 0) this.#updateRef()
      },
      asked: () => {
        if (this.#questions++ === 0) this.#updateRef()
      },
      replied: () => {
        if (--this.#questions === 0) this.#updateRef()
      },
      moved,
      // The resource is made with the reactor, as that of the core's calls is.
      scope: new AsyncResource('c1m'),
      operations: this.#operations,
      moves: this.#moves,
      inFlight: new InFlight(),
      contextGone: (index, context) => {
        // Connections of this context that have moved may be on other threads.
        if (this.#threads.some(({ contexts }) => contexts.get(index) !== undefined)) return
        if (context.listener === undefined) this.#adopter.contextGone(index)
        this.#freeContexts.push(index)
      },
      connectionClosed: () => this.#ending.connectionClosed(),
      saturated: (context, errno) => {
        const code = errno === 0 ? 'ERR_C1M_MAX_CONNECTIONS' : systemError(errno, 'accept').code
        if (context.listener !== undefined) this.emit('saturated', { code, listener: context.listener })
      },
    }
    this.#maxConnections = checked.maxConnections
    this.#threads = startThreads(checked.cpus.length, owner)
    this.connections = makeConnectionMap(this.#threads, moved)
    this.#ending = new Shutdown({
      threads: this.#threads,
      connections: this.connections,
      connecting: this.#connecting,
      adopting: this.#adopter.adopting,
      moves: this.#moves,
      operations: this.#operations,
      listeners: () => this.#listeners(),
    })
  }

  // These types are narrower than EventEmitter's own, which take any name: a listener of an event that is never
  // emitted, such as `error`, doesn't compile.
  declare on: <K extends keyof ReactorEvents>(event: K, listener: (...args: ReactorEvents[K]) => void) => this
  declare once: <K extends keyof ReactorEvents>(event: K, listener: (...args: ReactorEvents[K]) => void) => this
  declare addListener: <K extends keyof ReactorEvents>(event: K, listener: (...args: ReactorEvents[K]) => void) => this

  /**
   * Listens on a TCP port or a Unix socket. Resolves when connections are accepted. Without handlers, received data is
   * read and dropped. `T` is the type of `conn.data`; the default is `unknown`.
   *
   * Rejects, before anything happens, with a TypeError or RangeError for bad options (ERR_C1M_INVALID_ARG_TYPE,
   * ERR_C1M_INVALID_ARG_VALUE, ERR_C1M_OUT_OF_RANGE); with ERR_C1M_UNSUPPORTED_OPTION for a socket option that this
   * system lacks; with ERR_C1M_REACTOR_CLOSED after `shutdown()`; and with the system's errors: EADDRINUSE, EACCES,
   * EADDRNOTAVAIL and others with `listen` as their `syscall`, those of setsockopt(2) with the option in the message,
   * and ENOTFOUND for a host name. (socket(2), bind(2), listen(2))
   *
   * @example
   * const listener = await reactor.listen({ host: '127.0.0.1', port: 0, noDelay: true }, {
   *   data(conn, chunk) { conn.write(chunk) },
   * })
   */
  async listen<T = unknown>(
    options: ListenOptions<T>,
    handlers: Handlers<T> = {},
    ...others: never[]
  ): Promise<Listener<T>> {
    const checked = checkListenOptions(options)
    checkHandlers(handlers)
    checkNoMore('listen', others)
    checkNetworkAllowed()
    this.#checkOpen()
    const spec = {
      ...checked.spec,
      host: await resolveHost(checked.spec.host),
      reusePort:
        checked.reusePort ??
        (cluster.isWorker &&
          !checked.exclusive &&
          checked.spec.path === undefined &&
          checked.spec.fd === undefined &&
          checked.placement !== 'cpu'),
    }
    const open = (host: string | undefined) => this.#open<T>({ ...spec, host }, checked, handlers)
    return onAnyAddress(spec, open)
  }

  /**
   * Connects to a TCP port or a Unix socket; resolves with the connection when it is established. The `open` handler
   * has been called by then, and other handlers may have been called. The handlers are those of `listen()`, and run in
   * the async context of this call. `T` is the type of `conn.data`.
   *
   * Without a `data` handler it is paused: nothing is read before `relay()`, `detach()`, `resume()` or `end()`.
   *
   * A name is resolved, and its addresses are tried as RFC 8305 specifies ("happy eyeballs"): the families in turn,
   * each address 250 ms after the one before or as soon as that one has failed. The first that connects wins.
   *
   * Rejects, before anything happens, with a TypeError or RangeError for bad options (ERR_C1M_INVALID_ARG_TYPE,
   * ERR_C1M_INVALID_ARG_VALUE, ERR_C1M_OUT_OF_RANGE), and with the reason of an aborted signal; with
   * ERR_C1M_MAX_CONNECTIONS if the reactor holds `maxConnections`; with ERR_C1M_TOO_MUCH_IN_FLIGHT if 262,144 attempts
   * are in progress; with ERR_C1M_UNSUPPORTED_OPTION for a socket option that this system lacks; with
   * ERR_C1M_REACTOR_CLOSED after `shutdown()`, also one that is called during the attempt; and with the system's
   * errors: ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EADDRNOTAVAIL, EMFILE and others with `connect` as their `syscall`,
   * those of the local address with `bind`, and ENOTFOUND for a host name. If several addresses fail, the error is an
   * AggregateError with the `code` of the first. (socket(2), bind(2), connect(2))
   *
   * @example
   * const conn = await reactor.connect({ host: 'example.com', port: 7000, connectTimeoutMs: 5000 }, {
   *   data(conn, chunk) { console.log(chunk.toString()) },
   * })
   * conn.write('hello')
   */
  async connect<T = unknown>(
    options: ConnectOptions<T>,
    handlers: Handlers<T> = {},
    ...others: never[]
  ): Promise<Connection<T>> {
    const checked = checkConnectOptions(options)
    checkHandlers(handlers)
    checkNoMore('connect', others)
    checkNetworkAllowed()
    this.#checkOpen()
    checkAttempts(this.#connecting.size)
    checkAborted(checked.signal)
    return this.#connect(checked, containErrors(handlers))
  }

  /**
   * Creates a group of connections that are sent the same bytes, empty at first. `T` is the type of its members'
   * `conn.data`.
   * @example
   * const room = reactor.createGroup()
   * room.add(conn)
   * await room.broadcast('hello, all\n')
   */
  createGroup<T = unknown>(): Group<T> {
    return makeGroup<T>(this.connections, this.#threads)
  }

  /**
   * Takes over a connected socket: a `net.Socket`, TCP or Unix, for example one that `http` has upgraded, or the number
   * of a descriptor. Resolves with the connection, whose `open` handler is called as for an accepted connection.
   * Without a `data` handler it is paused, as a connection of `connect()` is.
   *
   * A `net.Socket` is paused immediately. Bytes that were written to it are sent first, and the promise waits for that.
   * Bytes that it has read and that no code has taken become the first `data`, behind `head`. Then the socket is
   * destroyed and emits `close`: for `node:net` it has ended, its handle, timer and descriptor are gone, and its server
   * counts one connection less. The peer notices nothing. A descriptor becomes c1m's, which closes it in the end; it
   * must have no other owner, in particular no `net.Socket`.
   *
   * Rejects before anything happens, and the socket is as it was: with a TypeError or RangeError for a bad argument
   * (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE, ERR_C1M_OUT_OF_RANGE), in particular a socket that is not
   * connected, is destroyed, has ended or been ended, decodes its data, or is a TLS socket; with ERR_C1M_REACTOR_CLOSED
   * after `shutdown()`; with ERR_C1M_MAX_CONNECTIONS when the reactor is full; and with the system's errors: ENOTSOCK,
   * EPROTOTYPE or EBADF for a descriptor that is no stream socket, ENOTCONN without a peer, EMFILE. If the epoll
   * instance refuses the socket (ENOSPC, ENOMEM), or another connection took the last free slot meanwhile, the socket
   * is closed.
   * (fcntl(2) with F_DUPFD_CLOEXEC, getpeername(2), epoll_ctl(2))
   *
   * @param source The socket, or its descriptor.
   * @param handlers As for `listen()`. Sockets that share a handlers object, and have equal options, share their
   *   settings: then each costs no more memory than an accepted connection.
   * @example
   * httpServer.on('upgrade', async (request, socket, head) => {
   *   socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n')
   *   const conn = await reactor.adopt(socket, handlers, { head, data: { path: request.url } })
   * })
   */
  async adopt<T = undefined>(
    source: Duplex | number,
    handlers: Handlers<T> = {},
    options: AdoptOptions<T> = {},
  ): Promise<Connection<T>> {
    return this.#adopter.adopt(source, handlers, options)
  }

  /**
   * Watches a descriptor that is not a connection: a pipe, an eventfd, a timerfd, inotify, a serial line, a tun device.
   * The descriptor stays yours: c1m neither reads nor closes it. Watching is edge-triggered: the handler is called,
   * with the descriptor's readiness, soon after this call if the descriptor is ready already, and then each time that
   * something new happens. So read, or write, until EAGAIN. Events that happen while this thread is busy are reported
   * together, in a few calls at most, and are never lost. See `Watch`.
   *
   * Throws a TypeError or RangeError for a bad argument (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE,
   * ERR_C1M_OUT_OF_RANGE), ERR_C1M_REACTOR_CLOSED after `shutdown()`, and the system's errors: EPERM for a file that
   * can't be watched (a regular file, a directory), EEXIST for one that this reactor watches already, EBADF for a
   * number that isn't open, ENOSPC and ENOMEM. (epoll_ctl(2) with EPOLLET)
   *
   * @param fd The descriptor. It should be non-blocking.
   * @param interest The events to report; hang-ups and errors are always reported.
   * @example
   * const watch = reactor.watch(fd, { readable: true }, ({ readable, hangup }) => {
   *   if (readable) drain(fd)
   *   if (hangup) watch.unwatch()
   * })
   */
  watch(fd: number, interest: WatchInterest, handler: WatchHandler): Watch {
    const bits = checkWatch(fd, interest, handler)
    this.#checkOpen()
    // One thread watches for all, so that no descriptor is watched twice.
    return (this.#threads[0] as IoThread).watches.add(fd, bits, handler)
  }

  /**
   * Moves connections from I/O threads that hold more than their share to those that hold fewer, until all hold the
   * same number or no more of the connections are idle: for example after a phase in which most of one thread's
   * connections have closed. Neither the connections nor their peers notice: object, id, groups, timeouts and order
   * stay the same. Resolves with the number of moved connections; 0 with one I/O thread. A connection isn't moved while
   * a WorkerPool has a task of it, it has a file to send, it is being relayed or detached, or its framing is being
   * changed. A moved connection costs about 200 bytes more from then on, because it keeps its id.
   *
   * Rejects, before anything happens, with a TypeError (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE) or
   * RangeError (ERR_C1M_OUT_OF_RANGE) for bad options, and with ERR_C1M_REACTOR_CLOSED after `shutdown()`.
   *
   * @example
   * setInterval(() => reactor.rebalance({ idleMs: 10_000 }), 60_000).unref()
   */
  async rebalance(options?: RebalanceOptions): Promise<number> {
    const idleMs = checkRebalanceOptions(options)
    this.#checkOpen()
    return (this.#threads[0] as IoThread).operation(() =>
      rebalance(this.#threads, idleMs, () => this.#shutdown === undefined),
    )
  }

  /**
   * Returns the counters as of the end of the I/O thread's last turn; reads shared memory, cheap enough for any rate.
   *
   * @example
   * const { connections, bytesRead, reads } = reactor.stats()
   */
  stats(): ReactorStats {
    const total: Record<string, number> = { connections: this.connections.size }
    for (const thread of this.#threads) {
      for (const [name, value] of Object.entries(thread.counters())) total[name] = (total[name] ?? 0) + value
    }
    const ioThreads = this.#threads.map((thread) => ({
      name: thread.name,
      connections: thread.size,
      cpuMicros: thread.native.cpuMicros(),
    }))
    return { ...total, ioThreads } as unknown as ReactorStats
  }

  /**
   * Lets the process exit although the reactor is in use, whatever connections, transfers (`sendFile()`, `relay()`) and
   * attempts to connect are in progress. Two things still keep the process alive for the moment that they take: a
   * request to which the I/O thread replies on its own, such as `listen()` or `tcpInfo()`, and a `shutdown()`, which
   * has its deadline.
   */
  unref(): this {
    this.#unrefed = true
    this.#updateRef()
    return this
  }

  /** Undoes `unref()`. */
  ref(): this {
    this.#unrefed = false
    this.#updateRef()
    return this
  }

  /**
   * Stops accepting; notifies every connection (calls its `shutdown` handler, or else `end()`); waits until all have
   * closed; destroys the remaining ones at the deadline with ERR_C1M_SHUTDOWN; and stops the I/O thread. A second call
   * resolves with the same result. A paused connection doesn't read its peer's FIN: resume it in `shutdown`, or it is
   * cut.
   *
   * Rejects, before anything happens, with a TypeError (ERR_C1M_INVALID_ARG_TYPE) or RangeError (ERR_C1M_OUT_OF_RANGE)
   * for a bad `timeoutMs`.
   *
   * @param options.timeoutMs Milliseconds until the deadline. 0 cuts immediately, without a call of `shutdown`
   *   handlers; up to 2^31-1. Default: 10,000.
   * @example
   * process.once('SIGTERM', () => reactor.shutdown({ timeoutMs: 5000 }))
   */
  async shutdown(options?: { timeoutMs?: number | undefined }): Promise<ShutdownResult> {
    const timeoutMs = checkShutdownOptions(options)
    // An error after this line would be the result of every later shutdown().
    needMoreStack()
    this.#shutdown ??= this.#ending.run(timeoutMs)
    this.#updateRef()
    return this.#shutdown
  }

  /** Calls `shutdown()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  /** The text that `console.log` shows. */
  [inspect.custom](): string {
    const listeners = this.#listeners().size
    const state = this.#shutdown === undefined ? '' : ', shut down'
    return `Reactor ${this.connections.size} connections, ${listeners} listeners${state}`
  }

  async #open<T>(
    where: Omit<Opening['spec'], 'connections'>,
    checked: ReturnType<typeof checkListenOptions>,
    handlers: Handlers<T>,
  ): Promise<Listener<T>> {
    this.#checkOpen()
    const index = this.#newContext()
    const spec = { ...where, connections: { ...checked.settings, context: index } }
    const state: ListenerState = { opened: Promise.resolve(), address: ['', 0, 0], options: {} }
    // Listeners take turns in the thread that accepts, so that no single thread accepts for all of them.
    const first = checked.placement === 'cpu' ? 0 : index % this.#threads.length
    const parts = [...this.#threads.slice(first), ...this.#threads.slice(0, first)]
    const listener = makeListener<T>(parts, index, state)
    const opening = openOn(parts, {
      spec,
      placement: checked.placement,
      context: (io) => ({
        ...checked.context,
        io,
        listener,
        handlers: containErrors(handlers) as Handlers,
        newData: checked.newData,
      }),
      bound: (bound) => {
        state.address = bound.address
        state.options = decodeSocketOptions(bound.settings, bound.congestion)
      },
    })
    state.opened = opening.catch(() => {})
    const reply = await opening
    if ('errno' in reply) throw listenError(reply, spec)
    if (this.#shutdown !== undefined) {
      await listener.close()
      this.#checkOpen()
    }
    return listener
  }

  #connect<T>(checked: CheckedConnect, handlers: Handlers<T>): Promise<Connection<T>> {
    // An attempt that throws after this line would never end.
    needMoreStack()
    return new Promise((resolve, reject) => {
      const owner = {
        io: this.#place(),
        newContext: () => this.#newContext(),
        ended: (attempt: Connecting<never>) => {
          this.#connecting.delete(attempt)
          if (--this.#active === 0) this.#updateRef()
        },
      }
      const attempt = new Connecting<T>(owner, checked, handlers, resolve, reject)
      this.#connecting.add(attempt as Connecting<never>)
      if (this.#active++ === 0) this.#updateRef()
      try {
        attempt.start()
      } catch (error) {
        attempt.fail(error)
      }
    })
  }

  #newContext(): number {
    return this.#freeContexts.pop() ?? this.#nextContext++
  }

  /** Returns the I/O thread for a connection that is opened or taken over: one with the fewest. */
  #place(): IoThread {
    return this.#threads.reduce((least, thread) => (thread.load < least.load ? thread : least))
  }

  /** Returns the listeners that are open, or about to be. */
  #listeners(): Set<Listener<unknown>> {
    return new Set(this.#threads.flatMap((thread) => thread.contexts.listeners()))
  }

  #checkOpen(): void {
    if (this.#shutdown !== undefined) throw reactorClosed()
  }

  #updateRef(): void {
    // A caller that awaits a promise of this reactor must see it settle: an `await` alone keeps no process alive.
    const awaited = this.#questions > 0 || (this.#active > 0 && this.#shutdown !== undefined)
    const ref = awaited || (this.#active > 0 && !this.#unrefed)
    for (const thread of this.#threads) thread.native.setRef(ref)
  }
}
