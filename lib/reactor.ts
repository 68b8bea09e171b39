import cluster from 'node:cluster'
import { lookup } from 'node:dns/promises'
import { EventEmitter } from 'node:events'
import { isIP } from 'node:net'
import type { Failure, ListenSpec } from './binding.js'
import { ConnectionMap } from './connection-map.js'
import { C1mError, systemError } from './errors.js'
import { IoThread, type IoThreadOwner } from './io-thread.js'
import type { STAT_NAMES } from './layout.js'
import { Listener, type ListenerContext, type ListenerState } from './listener.js'
import {
  checkHandlers,
  checkListenOptions,
  checkReactorOptions,
  type Handlers,
  type ListenOptions,
  type ReactorOptions,
} from './options.js'
import { decodeSocketOptions, failureOf } from './socket-options.js'
import { checkInteger, checkObject } from './validate.js'

/** `reactor.stats()`: counters since the reactor's start, except where they say "now". */
export interface ReactorStats extends Readonly<Record<(typeof STAT_NAMES)[number], number>> {
  /** Connections open now. */
  readonly connections: number
  /** One for each I/O thread: its name, as `ps -L` shows it, and its CPU time in microseconds. */
  readonly ioThreads: readonly { readonly name: string; readonly cpuMicros: number }[]
}

/** The reactor's `saturated` event: accepting has stopped for a while. */
export interface Saturated {
  /** The system's `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`, `ENOSPC`, or ERR_C1M_MAX_CONNECTIONS. */
  readonly code: string
  readonly listener: Listener<unknown>
}

/** How a shutdown went. */
export interface ShutdownResult {
  /** Connections that closed by themselves. */
  readonly drained: number
  /** Connections that were still open at the deadline, and were destroyed. */
  readonly cut: number
}

interface ReactorEvents {
  saturated: [Saturated]
}

const DEFAULT_SHUTDOWN_MS = 10_000

/**
 * Holds and serves TCP and Unix connections on an I/O thread of its own; handlers run on this thread.
 *
 * A reactor with an open listener or connection keeps the process alive, unless `unref()` says otherwise. Several may
 * live in one thread, and in `worker_threads`.
 *
 * Emits `saturated` when accepting has to stop for a while, for want of descriptors or memory or at `maxConnections`;
 * once for each such phase.
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
  readonly #threads: readonly IoThread[]
  readonly #listeners = new Set<Listener<unknown>>()
  #nextListener = 0
  #active = 0
  #unrefed = false
  #shutdown: Promise<ShutdownResult> | undefined
  #onEmpty: (() => void) | undefined

  /** Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE) or RangeError (ERR_C1M_OUT_OF_RANGE) for bad options. */
  constructor(options?: ReactorOptions) {
    super()
    const checked = checkReactorOptions(options)
    const owner: IoThreadOwner = {
      ...checked,
      retain: () => {
        if (this.#active++ === 0) this.#updateRef()
      },
      release: () => {
        if (--this.#active === 0) this.#updateRef()
      },
      connectionClosed: () => {
        if (this.#onEmpty !== undefined && this.connections.size === 0) this.#onEmpty()
      },
      saturated: (context, errno) => {
        const code = errno === 0 ? 'ERR_C1M_MAX_CONNECTIONS' : systemError(errno, 'accept').code
        this.emit('saturated', { code, listener: context.listener })
      },
    }
    this.#threads = [new IoThread(0, owner)]
    this.connections = new ConnectionMap(this.#threads)
  }

  /**
   * Listens on a TCP port or a Unix socket. Resolves when connections are accepted.
   *
   * Rejects, before anything happens, with a TypeError or RangeError for bad options (ERR_C1M_INVALID_ARG_TYPE,
   * ERR_C1M_INVALID_ARG_VALUE, ERR_C1M_OUT_OF_RANGE); with ERR_C1M_UNSUPPORTED_OPTION for a socket option that this
   * system lacks; with ERR_C1M_REACTOR_CLOSED after `shutdown()`; and with the system's errors: EADDRINUSE, EACCES,
   * EADDRNOTAVAIL, ENOTFOUND. (socket(2), bind(2), listen(2))
   */
  async listen<T = undefined>(options: ListenOptions, handlers: Handlers<T> = {}): Promise<Listener<T>> {
    const checked = checkListenOptions(options)
    checkHandlers(handlers)
    this.#checkOpen()
    const spec = {
      ...checked.spec,
      host: await resolve(checked.spec.host),
      index: this.#nextListener++,
      reusePort: options.reusePort ?? (cluster.isWorker && options.exclusive !== true && checked.spec.path === undefined),
    }
    this.#checkOpen()
    const open = (host: string | undefined) => this.#open<T>({ ...spec, host }, checked.context, handlers)
    if (spec.host !== undefined || spec.path !== undefined) return open(spec.host)
    try {
      return await open('::')
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL') return open('0.0.0.0')
      throw error
    }
  }

  /** Counters, cheap enough to read at any rate. */
  stats(): ReactorStats {
    const total: Record<string, number> = { connections: this.connections.size }
    for (const thread of this.#threads) {
      for (const [name, value] of Object.entries(thread.counters())) total[name] = (total[name] ?? 0) + value
    }
    const ioThreads = this.#threads.map((thread) => ({
      name: `c1m-io-${thread.index}`,
      cpuMicros: thread.native.cpuMicros(),
    }))
    return { ...total, ioThreads } as unknown as ReactorStats
  }

  /** Lets the process exit although the reactor is in use. */
  unref(): this {
    this.#unrefed = true
    this.#updateRef()
    return this
  }

  /** Takes back `unref()`. */
  ref(): this {
    this.#unrefed = false
    this.#updateRef()
    return this
  }

  /**
   * Stops accepting; tells every connection (its `shutdown` handler, or else `end()`); waits until all have closed;
   * destroys those that are left at the deadline with ERR_C1M_SHUTDOWN; and stops the I/O thread. Called again, it
   * answers the same promise.
   *
   * @param options.timeoutMs Milliseconds until the deadline. 0 cuts at once; up to 2^31-1. Default: 10,000.
   */
  shutdown(options?: { timeoutMs?: number }): Promise<ShutdownResult> {
    const timeoutMs = checkInteger(
      'timeoutMs',
      checkObject('options', options).timeoutMs ?? DEFAULT_SHUTDOWN_MS,
      0,
      2 ** 31 - 1,
    )
    this.#shutdown ??= this.#drain(timeoutMs)
    return this.#shutdown
  }

  async #open<T>(
    spec: ListenSpec,
    checked: Omit<ListenerContext, 'listener' | 'handlers'>,
    handlers: Handlers<T>,
  ): Promise<Listener<T>> {
    const thread = this.#place()
    const state: ListenerState = { address: ['', 0, 0], options: {} }
    const listener = new Listener<T>(thread, spec.index, state)
    const context = { ...checked, listener, handlers: handlers as Handlers<unknown> }
    const answer = await thread.listen(spec, context, (bound) => {
      state.address = bound.address
      state.options = decodeSocketOptions(bound.settings, bound.congestion)
      this.#listeners.add(listener)
    })
    if ('errno' in answer) throw listenError(answer, spec)
    if (this.#shutdown !== undefined) {
      await listener.close()
      this.#checkOpen()
    }
    return listener
  }

  /** The I/O thread for a new listener. */
  #place(): IoThread {
    return this.#threads[0] as IoThread
  }

  async #drain(timeoutMs: number): Promise<ShutdownResult> {
    const before = this.connections.size
    await Promise.all([...this.#listeners].map((listener) => listener.close()))
    const accepted = Math.max(before, this.connections.size)
    if (timeoutMs > 0) {
      for (const thread of this.#threads) {
        for (const [slot] of thread.open()) thread.shutdownConnection(slot)
      }
      await this.#emptyWithin(timeoutMs)
    }
    const cut = this.connections.size
    for (const conn of this.connections.values()) {
      conn.destroy(new C1mError('ERR_C1M_SHUTDOWN', 'The reactor was shut down'))
    }
    await this.#emptyWithin()
    for (const thread of this.#threads) thread.close()
    return { drained: accepted - cut, cut }
  }

  /** Resolves when no connection is left, or after this many milliseconds. */
  #emptyWithin(ms?: number): Promise<void> {
    if (this.connections.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms)
      this.#onEmpty = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #checkOpen(): void {
    if (this.#shutdown !== undefined) throw new C1mError('ERR_C1M_REACTOR_CLOSED', 'The reactor has been shut down')
  }

  #updateRef(): void {
    const ref = this.#active > 0 && !this.#unrefed
    for (const thread of this.#threads) thread.native.setRef(ref)
  }
}

/** The address of a host name; literals and nothing stay as they are. */
async function resolve(host: string | undefined): Promise<string | undefined> {
  if (host === undefined || isIP(host.replace(/%.*$/, '')) !== 0) return host
  return (await lookup(host)).address
}

function listenError(failure: Failure, spec: ListenSpec): Error {
  if (failure.option !== undefined) return failureOf(failure)
  return systemError(failure.errno, failure.syscall, {
    address: spec.path ?? spec.host,
    port: spec.path === undefined ? spec.port : undefined,
  })
}
