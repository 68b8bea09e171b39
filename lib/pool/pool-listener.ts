import { unlinkSync } from 'node:fs'
import { type AddressInfo, Socket } from 'node:net'
import { inspect } from 'node:util'
import { boundAddress, boundPort, showBound } from '../bound-address.js'
import { type AppliedSocketOptions, decodeSocketOptions } from '../socket-options.js'
import { Dispatcher } from './dispatcher.js'
import type { WorkerListen } from './messages.js'
import type { OpenedSockets } from './pool-sockets.js'
import type { PoolWorker } from './pool-worker.js'
import type { CheckedPoolListen } from './reactor-pool-options.js'

/** What the listener needs of the pool. */
interface Owner {
  /** The workers that serve now, at their places. */
  serving(): readonly (PoolWorker | undefined)[]
  /** Numbers for sockets, unlike all before. */
  nextSocket(): number
  close(listener: PoolListener): Promise<void>
}

/**
 * A socket that this thread holds for as long as the listener is there: what waits in its queue survives the worker that
 * accepts from it.
 */
interface HeldSocket {
  readonly number: number
  /** The worker whose it is, if all is well. */
  readonly home: number
  /** Has the descriptor; it is never read. */
  readonly holder: Socket
  /** Who accepts from it now. */
  owner: PoolWorker | undefined
}

/** @internal */
export let makePoolListener: (
  owner: Owner,
  number: number,
  listen: CheckedPoolListen,
  opened: OpenedSockets,
) => PoolListener

/**
 * @internal What the pool does with it. A socket's owner is who was last told to accept from it: what a worker is told reaches
 * it in order, so that nothing here waits for one that is busy, except for what it is to know.
 */
export interface ListenerCare {
  /** Tells the workers, at the start; resolves when they accept. */
  open(): Promise<void>
  /** A worker has started: it gets what is its own, and what nobody has. Resolves when it accepts. */
  equip(worker: PoolWorker): Promise<void>
  /** It has gone: others accept from its sockets meanwhile. */
  standIn(gone: PoolWorker): void
  /** There is a worker to hand connections to. */
  flush(): void
  close(): Promise<void>
}

/** @internal */
export let careOf: (listener: PoolListener) => ListenerCare

/** A listener of a `ReactorPool`, as `pool.listen()` resolves with it. */
export class PoolListener {
  readonly #owner: Owner
  readonly #number: number
  readonly #listen: CheckedPoolListen
  readonly #bound: OpenedSockets['bound']
  readonly #sockets: HeldSocket[] = []
  readonly #dispatcher: Dispatcher | undefined
  #closing: Promise<void> | undefined

  private constructor(owner: Owner, number: number, listen: CheckedPoolListen, { bound, descriptors }: OpenedSockets) {
    this.#owner = owner
    this.#number = number
    this.#listen = listen
    this.#bound = bound
    const [first] = descriptors
    if (listen.placement === 'least-connections') {
      const { backlog } = listen.checked.spec
      this.#dispatcher = new Dispatcher(first as number, number, backlog, () => leastBusy(owner.serving()))
      return
    }
    for (const [home, fd] of descriptors.entries()) {
      const holder = new Socket({ fd, readable: false, writable: false })
      this.#sockets.push({ number: owner.nextSocket(), home, holder, owner: undefined })
    }
  }

  static {
    makePoolListener = (...args) => new PoolListener(...args)
    careOf = (listener) => ({
      open: () => listener.#open(),
      equip: (worker) => listener.#equip(worker),
      standIn: (gone) => listener.#standIn(gone),
      flush: () => listener.#dispatcher?.flush(),
      close: () => listener.#close(),
    })
  }

  /** Where it listens, as `listener.address()` of a reactor. */
  address(): AddressInfo | string {
    return boundAddress(this.#bound.address)
  }

  /** The port it listens on; `undefined` on a Unix socket. */
  get port(): number | undefined {
    return boundPort(this.#bound.address)
  }

  /** The socket options of the listening sockets, as the kernel applied them. */
  get options(): AppliedSocketOptions {
    return decodeSocketOptions(this.#bound.settings, this.#bound.congestion)
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closing !== undefined
  }

  /**
   * Stops listening in all workers; resolves when they have, and the file of a Unix socket is removed. Connections stay. What
   * waits in the kernel's queues is reset by the kernel. Called again, it answers the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= this.#owner.close(this)
    return this.#closing
  }

  /** What `console.log` shows. */
  [inspect.custom](): string {
    const where = showBound(this.#bound.address)
    return `PoolListener ${where}, ${this.#listen.placement}${this.closed ? ', closed' : ''}`
  }

  async #open(): Promise<void> {
    const serving = this.#owner.serving()
    const given: Promise<void>[] = []
    if (this.#dispatcher !== undefined) {
      for (const worker of serving) if (worker !== undefined) given.push(this.#give(worker, undefined))
    }
    for (const socket of this.#sockets) {
      socket.owner = serving[socket.home]
      if (socket.owner !== undefined) given.push(this.#give(socket.owner, socket))
    }
    this.#standIn(undefined)
    await Promise.all(given.map((one) => one.catch(unlessGone)))
  }

  async #equip(worker: PoolWorker): Promise<void> {
    if (this.#dispatcher !== undefined) return this.#give(worker, undefined)
    for (const socket of this.#sockets) {
      if (socket.home !== worker.index && socket.owner !== undefined) continue
      await this.#give(worker, socket)
      if (this.closed) {
        await this.#take(worker, socket.number)
        continue
      }
      // From here on both accept from its queue, so that it is never without.
      const before = socket.owner
      socket.owner = worker
      if (before !== undefined) void this.#take(before, socket.number)
    }
  }

  #standIn(gone: PoolWorker | undefined): void {
    for (const socket of this.#sockets) {
      if (socket.owner !== gone && socket.owner !== undefined) continue
      socket.owner = leastBusy(this.#owner.serving())
      // Nobody waits for it: it may be busy for long. If it goes, its own turn comes.
      if (socket.owner !== undefined) void this.#give(socket.owner, socket).catch(() => {})
    }
  }

  async #give(worker: PoolWorker, socket: HeldSocket | undefined): Promise<void> {
    const { options, handlers, checked } = this.#listen
    const { framing: _, ...carried } = options
    for (const name of ['port', 'path', 'host', 'ipv6Only', 'backlog', 'reusePort', 'protocol'] as const) {
      carried[name] = undefined as never
    }
    const listen: WorkerListen = {
      listener: this.#number,
      socket: socket?.number,
      handlers,
      options: carried,
      framing: checked.settings.framing,
    }
    await worker.ask({ type: 'listen', listen }, socket?.holder)
  }

  /** Unless it has gone. */
  async #take(worker: PoolWorker, socket: number | undefined): Promise<void> {
    await worker.ask({ type: 'unlisten', listener: this.#number, socket }).catch(() => {})
  }

  async #close(): Promise<void> {
    this.#dispatcher?.close()
    if (this.#dispatcher !== undefined) {
      const serving = this.#owner.serving().filter((worker) => worker !== undefined)
      await Promise.all(serving.map((worker) => this.#take(worker, undefined)))
    }
    await Promise.all(
      this.#sockets.map(async ({ owner, number, holder }) => {
        if (owner !== undefined) await this.#take(owner, number)
        holder.destroy()
      }),
    )
    const { path } = this.#listen.options
    if (path === undefined || path.startsWith('\0')) return
    try {
      unlinkSync(path)
    } catch {
      // Somebody has removed it.
    }
  }
}

/** Whose worker has gone has yet to see it replaced. */
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
