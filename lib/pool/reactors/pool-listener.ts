import { type AddressInfo, Socket } from 'node:net'
import { inspect } from 'node:util'
import { boundAddress, boundPort, showBound } from '../../base/address.js'
import { notMade } from '../../base/errors.js'
import { type AppliedSocketOptions, decodeSocketOptions } from '../../options/socket-options.js'
import { type Chosen, Dispatcher } from './dispatcher.js'
import type { WorkerListen } from './messages.js'
import type { OpenedSockets } from './pool-sockets.js'
import type { PoolWorker } from './pool-worker.js'
import type { CheckedPoolListen } from './reactor-pool-options.js'
import { SharedSocket } from './shared-socket.js'
import type { SocketFile } from './socket-file.js'

/** The time until another worker is instructed to accept in place of one that couldn't. */
const RETRY_MS = 100

/** The part of the pool that the listener needs. */
interface Owner {
  /** Returns the workers that serve now, at their places. */
  serving(): readonly (PoolWorker | undefined)[]
  /** Returns a number for a socket, different from all earlier ones. */
  nextSocket(): number
  /** The max number of connections of each worker's reactor. */
  readonly maxConnections: number
  close(listener: PoolListener): Promise<void>
}

/** @internal */
export let makePoolListener: (
  owner: Owner,
  number: number,
  listen: CheckedPoolListen,
  opened: OpenedSockets,
) => PoolListener

/**
 * @internal The pool's operations on a listener. A socket's owner is the worker that was last instructed to accept from
 * it.
 */
export interface ListenerControl {
  /** Instructs the workers at the start; resolves when they accept. */
  open(): Promise<void>
  /** Gives a worker that has started its own sockets, and those without an owner. Resolves when it accepts. */
  equip(worker: PoolWorker): Promise<void>
  /** Lets other workers accept from the sockets of one that has ended. */
  standIn(gone: PoolWorker): void
  /** Hands waiting connections over, when a worker has started or has room. */
  flush(): void
  /**
   * Stops accepting, and instructs the workers to stop: resolves when the instructions have been sent. Connections that
   * are in the queues by then are served; those of this thread up to `until`, a time of `performance.now()`.
   */
  stop(until: number): Promise<void>
  /** Resolves when the workers have stopped as well. */
  close(): Promise<void>
}

/** @internal */
export let controlOf: (listener: PoolListener) => ListenerControl

/** A listener of a `ReactorPool`, as `pool.listen()` resolves with it. */
export class PoolListener {
  readonly #owner: Owner
  readonly #number: number
  readonly #listen: CheckedPoolListen
  readonly #bound: OpenedSockets['bound']
  readonly #file: SocketFile | undefined
  readonly #sockets: SharedSocket[] = []
  readonly #dispatcher: Dispatcher | undefined
  #retry: NodeJS.Timeout | undefined
  #stopping: Promise<void> | undefined
  #stopped: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  private constructor(owner: Owner, number: number, listen: CheckedPoolListen, opened: OpenedSockets) {
    if (opened === undefined) throw notMade('PoolListener', 'pool.listen()')
    const { bound, descriptors, file } = opened
    this.#owner = owner
    this.#number = number
    this.#listen = listen
    this.#bound = bound
    this.#file = file
    const [first] = descriptors
    if (listen.placement === 'least-connections') {
      const choose = () => choice(owner.serving(), owner.maxConnections)
      this.#dispatcher = new Dispatcher(first as number, number, listen.checked.spec.backlog, choose)
      this.#sockets.push(this.#socket(-1, undefined, undefined))
      return
    }
    for (const [home, fd] of descriptors.entries()) {
      const holder = new Socket({ fd, readable: false, writable: false })
      this.#sockets.push(this.#socket(home, owner.nextSocket(), holder))
    }
  }

  static {
    makePoolListener = (...args) => new PoolListener(...args)
    controlOf = (listener) => ({
      open: () => listener.#open(),
      equip: (worker) => listener.#equip(worker),
      standIn: (gone) => listener.#standIn(gone),
      flush: () => listener.#dispatcher?.flush(),
      stop: (until) => listener.#stop(until),
      close: () => listener.#close(),
    })
  }

  /** Returns its address, as `listener.address()` of a reactor does. */
  address(): AddressInfo | string {
    return boundAddress(this.#bound.address)
  }

  /** The port on which it listens; `undefined` on a Unix socket. */
  get port(): number | undefined {
    return boundPort(this.#bound.address)
  }

  /** The socket options of the listening sockets, as the kernel applied them. */
  get options(): AppliedSocketOptions {
    return decodeSocketOptions(this.#bound.settings, this.#bound.congestion)
  }

  /** True if `close()` was called. */
  get closed(): boolean {
    return this.#closing !== undefined || this.#stopping !== undefined
  }

  /**
   * Stops listening in all workers; resolves when they have stopped, and the file of a Unix socket is removed.
   * Connections stay open, and those in the kernel's queues are accepted. It waits also for a worker whose JS thread is
   * busy. A second call returns the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= this.#owner.close(this)
    return this.#closing
  }

  /** The text that `console.log` shows. */
  [inspect.custom](): string {
    const where = showBound(this.#bound.address)
    return `PoolListener ${where}, ${this.#listen.placement}${this.closed ? ', closed' : ''}`
  }

  async #open(): Promise<void> {
    const serving = this.#owner.serving()
    const given: Promise<void>[] = []
    for (const socket of this.#sockets) {
      if (this.#dispatcher !== undefined) {
        for (const worker of serving) if (worker !== undefined) given.push(socket.give(worker))
      } else {
        socket.owner = serving[socket.home]
        if (socket.owner !== undefined) given.push(socket.give(socket.owner))
      }
    }
    this.#standIn(undefined)
    await Promise.all(given.map((one) => one.catch(unlessGone)))
  }

  async #equip(worker: PoolWorker): Promise<void> {
    for (const socket of this.#sockets) {
      if (this.#dispatcher === undefined && socket.home !== worker.index && socket.owner !== undefined) continue
      await socket.give(worker)
      // Both workers accept from the socket's queue from here on, so that there is always one.
      const before = socket.owner
      socket.owner = worker
      if (this.#dispatcher === undefined && before !== undefined) void socket.take(before)
    }
  }

  #standIn(gone: PoolWorker | undefined, butFor?: PoolWorker): void {
    if (this.#dispatcher !== undefined) return
    const serving = this.#owner.serving()
    const others = serving.filter((worker) => worker !== butFor)
    for (const socket of this.#sockets) {
      if (socket.owner !== gone && socket.owner !== undefined) continue
      const worker = leastBusy(others) ?? leastBusy(serving)
      socket.owner = worker
      if (worker === undefined) continue
      // The reply isn't awaited, because the worker may be busy for long. If it ends, another one stands in again.
      socket.give(worker).catch(() => {
        if (socket.owner !== worker) return
        socket.owner = undefined
        this.#standInLater(worker)
      })
    }
  }

  /** Retries after a worker couldn't accept, for example for lack of a descriptor: with another one, or the same. */
  #standInLater(butFor: PoolWorker): void {
    if (this.closed || this.#retry !== undefined) return
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.#standIn(undefined, butFor)
    }, RETRY_MS)
  }

  #socket(home: number, socket: number | undefined, holder: Socket | undefined): SharedSocket {
    const { options, handlers, checked } = this.#listen
    const { framing: _, ...others } = options
    for (const name of ['port', 'path', 'host', 'ipv6Only', 'backlog', 'reusePort', 'protocol'] as const) {
      others[name] = undefined as never
    }
    const listener = this.#number
    const listen: WorkerListen = { listener, socket, handlers, options: others, framing: checked.settings.framing }
    return new SharedSocket(home, holder, {
      listen: (worker, descriptor) => worker.ask({ type: 'listen', listen }, descriptor),
      unlisten: (worker) => worker.ask({ type: 'unlisten', listener, socket }),
    })
  }

  #stop(until: number): Promise<void> {
    this.#stopping ??= this.#stopNow(until)
    return this.#stopping
  }

  async #stopNow(until: number): Promise<void> {
    clearTimeout(this.#retry)
    // The file must be removed while the socket is open.
    this.#file?.remove()
    await this.#dispatcher?.close(until)
    this.#stopped = Promise.all(this.#sockets.map((socket) => socket.close()))
  }

  async #close(): Promise<void> {
    await this.#stop(Number.POSITIVE_INFINITY)
    await this.#stopped
  }
}

/** Ignores the error of a worker that has ended: its successor will accept. */
function unlessGone(error: unknown): void {
  if ((error as { code?: string }).code !== 'ERR_C1M_WORKER_FAILED') throw error
}

function leastBusy(workers: readonly (PoolWorker | undefined)[]): PoolWorker | undefined {
  let least: PoolWorker | undefined
  for (const worker of workers) {
    if (worker !== undefined && (least === undefined || worker.load < least.load)) least = worker
  }
  return least
}

function choice(serving: readonly (PoolWorker | undefined)[], maxConnections: number): Chosen {
  const workers = serving.filter((worker) => worker !== undefined)
  const roomy = workers.filter(({ load }) => load < maxConnections)
  if (roomy.length === 0) return workers.length === 0 ? 'later' : 'full'
  return leastBusy(roomy.filter(({ behind }) => !behind)) ?? 'later'
}
