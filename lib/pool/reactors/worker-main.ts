/** @internal What runs in each worker of a `ReactorPool`, be it a thread or a process. */
import { closeSync } from 'node:fs'
import { workerData } from 'node:worker_threads'
import { C1mError, invalidValue } from '../../base/errors.js'
import { inTurns } from '../../base/in-turns.js'
import type { Handlers } from '../../connection/connection.js'
import type { AdoptOptions } from '../../features/adopt.js'
import type { ListenOptions } from '../../features/listen-options.js'
import type { Listener } from '../../listener.js'
import { setDescriptorLimit, takeSocket } from '../../native/binding.js'
import { connectionOptionKeys } from '../../options/connection-options.js'
import { checkHandlers, handlerNames } from '../../options/handlers.js'
import { connectionSocketOptionKeys, type SocketOptions } from '../../options/socket-options.js'
import { adopterOf, Reactor, type ShutdownResult } from '../../reactor.js'
import { enterPool } from '../pool-role.js'
import { toWire } from '../wire-error.js'
import {
  type FromWorker,
  framingOf,
  MAX_UNHEARD,
  sealed,
  type ToWorker,
  unsealed,
  type WorkerListen,
  type WorkerStart,
} from './messages.js'
import { Turns } from './turns.js'
import type { ThreadStart } from './worker-channel.js'
import { makeWorkerContext, type ReactorPoolSetup, type WorkerContext } from './worker-context.js'

/** libuv's handle of a descriptor that came from another process. */
interface Handle {
  readonly fd: number
  close(): void
}

/** How often the pool hears of the number of connections, if it has changed. */
const REPORT_MS = 100

/** A listener whose connections are handed over. */
interface Handed {
  readonly handlers: Handlers<unknown>
  readonly options: AdoptOptions<unknown>
  readonly socket: SocketOptions | undefined
}

class PoolWorkerMain {
  readonly #start: WorkerStart
  readonly #reactor: Reactor
  readonly #context: WorkerContext
  /** By the number of their socket. One is opened or closed at a time, in the order of the pool's messages. */
  readonly #listeners = new Map<number, Listener<unknown>>()
  readonly #turns = new Turns<number>()
  /** By the number of their listener. */
  readonly #handed = new Map<number, Handed>()
  #handlers: unknown
  #reported = 0
  #taken = 0
  #heard = 0
  /** Messages of the user's to the pool, and how many of them it has taken. */
  #told = 0
  #poolHeard = 0
  /** Connections that were cut because the pool's patience came to an end before the reactor's. */
  #cut = 0
  #reporting = false

  constructor(start: WorkerStart) {
    this.#start = start
    if (start.maxOpenFiles !== undefined) setDescriptorLimit(start.maxOpenFiles)
    this.#reactor = new Reactor(start.reactor)
    this.#context = makeWorkerContext(start.index, start.data, (value) => this.#tell(value))
  }

  #tell(value: unknown): boolean {
    if (this.#told - this.#poolHeard >= MAX_UNHEARD) return false
    post({ type: 'message', value })
    this.#told++
    return true
  }

  async setUp(): Promise<void> {
    let found = (await import(this.#start.module)) as { setup?: unknown; default?: { setup?: unknown } }
    // The exports of a CommonJS module that Node can't see from outside are in its default.
    if (typeof found.setup !== 'function') found = { setup: found.default?.setup }
    if (typeof found.setup !== 'function') throw new TypeError(`${this.#start.module} exports no function "setup"`)
    this.#handlers = (await (found.setup as ReactorPoolSetup)(this.#reactor, this.#context)) ?? {}
    setInterval(() => {
      if (this.#reactor.connections.size !== this.#reported) this.#report()
    }, REPORT_MS).unref()
    post({ type: 'ready' })
  }

  async obey(message: Exclude<ToWorker, { type: 'start' }>, handle: Handle | undefined): Promise<void> {
    switch (message.type) {
      case 'message':
        this.#heard++
        this.#reportSoon()
        this.#context.hear(message.value)
        return
      case 'heard':
        this.#poolHeard = message.heard
        return
      case 'connection':
        return this.#take(message.listener, ownDescriptor(handle, message.fd))
      default:
        await this.#answer(message, handle)
        if (message.type === 'shutdown') end(0)
    }
  }

  async #answer(message: Extract<ToWorker, { ask: number }>, handle: Handle | undefined): Promise<void> {
    const { ask } = message
    try {
      post({ type: 'answer', ask, value: await this.#do(message, handle) })
    } catch (error) {
      post({ type: 'answer', ask, error: toWire(error) })
    } finally {
      handle?.close()
    }
  }

  async #do(message: Extract<ToWorker, { ask: number }>, handle: Handle | undefined): Promise<unknown> {
    switch (message.type) {
      case 'listen':
        return this.#listen(message.listen, handle?.fd ?? message.fd)
      case 'unlisten':
        return this.#unlisten(message)
      case 'broadcast':
        return this.#reactor.connections.broadcast(Buffer.from(message.bytes))
      case 'stats':
        return this.#reactor.stats()
      case 'shutdown':
        return this.#shutDown(message.timeoutMs)
    }
  }

  /** Asked again, it is by an earlier deadline. */
  async #shutDown(timeoutMs: number): Promise<ShutdownResult> {
    if (this.#context.draining) setTimeout(() => void this.#cutAll(), timeoutMs)
    else this.#context.drain()
    const { drained, cut } = await this.#reactor.shutdown({ timeoutMs })
    return { drained: drained - this.#cut, cut: cut + this.#cut }
  }

  async #cutAll(): Promise<void> {
    await inTurns(this.#reactor.connections.values(), (conn) => {
      if (conn.destroy(new C1mError('ERR_C1M_SHUTDOWN', 'The pool was shut down'))) this.#cut++
    })
  }

  async #listen({ listener, socket, handlers: name, options, framing }: WorkerListen, fd: number | undefined) {
    const handlers = this.#handlersFor(name)
    // As reactor.listen() does; one that hands connections over would refuse them one by one, and tell nobody.
    checkHandlers(handlers)
    const framed = { ...options, framing: framingOf(framing) }
    if (socket === undefined || fd === undefined) {
      // Those of listening sockets alone, these have had.
      const socketOptions = pick(options, connectionSocketOptionKeys)
      this.#handed.set(listener, {
        handlers,
        options: pick(framed, connectionOptionKeys),
        socket: Object.keys(socketOptions).length > 0 ? socketOptions : undefined,
      })
      return
    }
    await this.#turns.take(socket, async () => {
      this.#listeners.set(socket, await this.#reactor.listen({ ...framed, fd } as ListenOptions, handlers))
    })
  }

  async #unlisten({ listener: number, socket }: { listener: number; socket: number | undefined }): Promise<void> {
    if (socket === undefined) {
      this.#handed.delete(number)
      return
    }
    await this.#turns.take(socket, async () => {
      const listener = this.#listeners.get(socket)
      this.#listeners.delete(socket)
      await listener?.close()
    })
  }

  #handlersFor(name: string | undefined): Handlers<unknown> {
    if (name === undefined) return unnamed(this.#handlers as Handlers<unknown>)
    const found = (this.#handlers as Record<string, unknown>)[name]
    if (typeof found !== 'object' || found === null) throw invalidValue(`"setup" returned no handlers named '${name}'`)
    return found
  }

  async #take(listener: number, fd: number | undefined): Promise<void> {
    // Before anything is done with it: what a thread was told of and has not counted is the pool's to close.
    if (thread !== undefined) Atomics.add(thread.taken, 0, 1)
    await this.#place(listener, fd)
    // It counts as on its way until it counts as a connection, or not at all: else this worker would seem to hold fewer.
    this.#taken++
    this.#reportSoon()
  }

  async #place(listener: number, fd: number | undefined): Promise<void> {
    // One that its peer has reset meanwhile has none any more.
    if (fd === undefined) return
    const to = this.#handed.get(listener)
    if (to === undefined) return closeSync(fd)
    try {
      const conn = await adopterOf(this.#reactor).adoptOwned(fd, to.handlers, to.options)
      // As one that was accepted here: without a `data` handler its bytes are thrown away.
      conn.beginReading()
      if (to.socket !== undefined) await conn.setOptions(to.socket)
    } catch {
      // It has closed, or the reactor is full or ended: then that is what its peer sees.
    }
  }

  /** Of all that a turn has brought, once. */
  #reportSoon(): void {
    if (this.#reporting) return
    this.#reporting = true
    setImmediate(() => {
      this.#reporting = false
      this.#report()
    })
  }

  #report(): void {
    this.#reported = this.#reactor.connections.size
    post({ type: 'load', connections: this.#reported, taken: this.#taken, heard: this.#heard })
  }
}

/** Throws if these are several, of which one is to be chosen. */
function unnamed(handlers: Handlers<unknown>): Handlers<unknown> {
  const names = Object.entries(handlers).flatMap(([name, value]) => (typeof value === 'object' && value ? [name] : []))
  if (names.length === 0 || handlerNames.some((name) => handlers[name] !== undefined)) return handlers
  const list = names.map((name) => `'${name}'`).join(', ')
  throw invalidValue(`"setup" returned handlers by name: say which, by the option "handlers" (${list})`)
}

function pick<T extends object>(from: T, keys: readonly string[]): Partial<T> {
  return Object.fromEntries(
    Object.entries(from).filter(([key, value]) => keys.includes(key) && value !== undefined),
  ) as Partial<T>
}

/** Of a process a duplicate, as the handle is libuv's; a thread was given one of its own. */
function ownDescriptor(handle: Handle | undefined, fd: number | undefined): number | undefined {
  if (handle === undefined) return fd
  const taken = takeSocket(handle.fd, true)
  handle.close()
  return typeof taken === 'number' ? taken : undefined
}

/** Of a thread. */
const thread = workerData === null ? undefined : (workerData as ThreadStart)
const port = thread?.port
let unsent = 0
let ending: number | undefined

/** Throws for what can't be cloned, and then nothing is sent. */
function post(message: FromWorker): void {
  if (port !== undefined) return port.postMessage(message)
  if (process.send === undefined) return
  process.send(sealed(message), undefined, {}, () => {
    if (--unsent === 0 && ending !== undefined) process.exit(ending)
  })
  unsent++
}

/** When the pool has been told all. */
function end(code: number): void {
  ending = code
  if (unsent === 0) process.exit(code)
}

let main: PoolWorkerMain | undefined

function receive(message: ToWorker, handle?: Handle): void {
  if (message.type === 'start') {
    start(message.start).catch((error: unknown) => {
      post({ type: 'failed', error: toWire(error) })
      end(1)
    })
  } else {
    // What a handler of the user's throws is its own affair: the worker crashes, as any process would.
    void main?.obey(message, handle)
  }
}

async function start(how: WorkerStart): Promise<void> {
  enterPool(how.modules)
  main = new PoolWorkerMain(how)
  await main.setUp()
}

if (port !== undefined) {
  port.on('message', receive)
} else {
  process.on('message', (value, handle) => {
    const message = unsealed<ToWorker>(value)
    if (message !== undefined) receive(message, handle as Handle | undefined)
  })
  // The pool is gone: nobody would end this process.
  process.on('disconnect', () => process.exit(1))
  // Ctrl-C, systemd and PM2 signal the whole group; the pool says what is to be done.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
}
