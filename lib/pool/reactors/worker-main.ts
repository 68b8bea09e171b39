/** @internal The program of each worker of a `ReactorPool`, a thread or a process. */
import { closeSync } from 'node:fs'
import { workerData } from 'node:worker_threads'
import { C1mError, invalidValue } from '../../base/errors.js'
import { inTurns } from '../../base/in-turns.js'
import type { Handlers } from '../../connection/connection.js'
import type { AdoptOptions } from '../../features/adopt.js'
import type { ListenOptions } from '../../features/listen-options.js'
import type { ShutdownResult } from '../../features/shutdown.js'
import type { Listener } from '../../listener.js'
import { setDescriptorLimit, takeSocket } from '../../native/binding.js'
import { connectionOptionKeys } from '../../options/connection-options.js'
import { checkHandlers, handlerNames } from '../../options/handlers.js'
import { connectionSocketOptionKeys, type SocketOptions } from '../../options/socket-options.js'
import { adopterOf, Reactor } from '../../reactor.js'
import { enterPool } from '../pool-role.js'
import { toWire } from '../wire-error.js'
import { MessageWindow } from './message-window.js'
import {
  type FromWorker,
  framingOf,
  sealed,
  type ToWorker,
  unsealed,
  type WorkerListen,
  type WorkerStart,
} from './messages.js'
import { Turns } from './turns.js'
import type { ThreadStart } from './worker-channel.js'
import { makeWorkerContext, type ReactorPoolSetup, type WorkerContext } from './worker-context.js'

/** The libuv handle of a descriptor that came from another process. */
interface Handle {
  readonly fd: number
  close(): void
}

/** The period in which the number of connections is reported to the pool, if it has changed. */
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
  /**
   * The listeners by the number of their socket. One is opened or closed at a time, in the order of the pool's
   * messages.
   */
  readonly #listeners = new Map<number, Listener<unknown>>()
  readonly #turns = new Turns<number>()
  /** The listeners whose connections are handed over, by number. */
  readonly #handed = new Map<number, Handed>()
  #handlers: unknown
  #reported = 0
  readonly #taken = { connections: 0, messages: 0 }
  /** The user's messages to the pool. */
  readonly #messages = new MessageWindow()
  /** Connections that were cut because the pool's deadline came before the reactor's. */
  #cut = 0
  #reporting = false

  constructor(start: WorkerStart) {
    this.#start = start
    if (start.maxOpenFiles !== undefined) setDescriptorLimit(start.maxOpenFiles)
    this.#reactor = new Reactor(start.reactor)
    this.#context = makeWorkerContext(start.index, start.data, (value) =>
      this.#messages.send(() => post({ type: 'message', value })),
    )
  }

  async setUp(): Promise<void> {
    let found = (await import(this.#start.module)) as { setup?: unknown; default?: { setup?: unknown } }
    // The exports of a CommonJS module that Node can't detect from outside are in its default.
    if (typeof found.setup !== 'function') found = { setup: found.default?.setup }
    if (typeof found.setup !== 'function') throw new TypeError(`${this.#start.module} exports no function "setup"`)
    this.#handlers = (await (found.setup as ReactorPoolSetup)(this.#reactor, this.#context)) ?? {}
    setInterval(() => {
      if (this.#reactor.connections.size !== this.#reported) this.#report()
    }, REPORT_MS).unref()
    post({ type: 'ready' })
  }

  async execute(message: Exclude<ToWorker, { type: 'start' }>, handle: Handle | undefined): Promise<void> {
    switch (message.type) {
      case 'message':
        this.#taken.messages++
        this.#reportSoon()
        this.#context.deliver(message.value)
        return
      case 'taken':
        this.#messages.update(message.messages)
        return
      case 'connection':
        return this.#take(message.listener, ownDescriptor(handle, message.fd))
      default:
        await this.#reply(message, handle)
        if (message.type === 'shutdown') end(0)
    }
  }

  async #reply(message: Extract<ToWorker, { ask: number }>, handle: Handle | undefined): Promise<void> {
    const { ask } = message
    try {
      post({ type: 'reply', ask, value: await this.#do(message, handle) })
    } catch (error) {
      post({ type: 'reply', ask, error: toWire(error) })
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

  /** Shuts down; a second request sets an earlier deadline. */
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
    // The check is that of reactor.listen(); a listener whose connections are handed over would refuse them one by one,
    // without a report.
    checkHandlers(handlers)
    const framed = { ...options, framing: framingOf(framing) }
    if (socket === undefined || fd === undefined) {
      // The listening sockets have the other options already.
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
    // The count comes first: the pool closes descriptors that a thread was sent and has not counted.
    if (thread !== undefined) Atomics.add(thread.taken, 0, 1)
    await this.#place(listener, fd)
    // The connection counts as in flight until it counts as open, or is dropped: else this worker would seem to have
    // fewer.
    this.#taken.connections++
    this.#reportSoon()
  }

  async #place(listener: number, fd: number | undefined): Promise<void> {
    // A connection that its peer has reset meanwhile has no descriptor any more.
    if (fd === undefined) return
    const to = this.#handed.get(listener)
    if (to === undefined) return closeSync(fd)
    try {
      const conn = await adopterOf(this.#reactor).adoptOwned(fd, to.handlers, to.options)
      // The connection behaves like one that was accepted here: without a `data` handler its bytes are dropped.
      conn.beginReading()
      if (to.socket !== undefined) await conn.setOptions(to.socket)
    } catch {
      // The connection has closed, or the reactor is full or has ended: then its peer sees a close.
    }
  }

  /** Reports the load once for everything that a turn has brought. */
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
    post({ type: 'load', connections: this.#reported, taken: { ...this.#taken } })
  }
}

/** Throws if these are several handlers by name, of which one must be chosen. */
function unnamed(handlers: Handlers<unknown>): Handlers<unknown> {
  const names = Object.entries(handlers).flatMap(([name, value]) => (typeof value === 'object' && value ? [name] : []))
  if (names.length === 0 || handlerNames.some((name) => handlers[name] !== undefined)) return handlers
  const list = names.map((name) => `'${name}'`).join(', ')
  throw invalidValue(`"setup" returned several handlers: choose this listener's by the option "handlers" (${list})`)
}

function pick<T extends object>(from: T, keys: readonly string[]): Partial<T> {
  return Object.fromEntries(
    Object.entries(from).filter(([key, value]) => keys.includes(key) && value !== undefined),
  ) as Partial<T>
}

/** Returns a descriptor of its own: in a process a duplicate, because the handle is libuv's; a thread was given one. */
function ownDescriptor(handle: Handle | undefined, fd: number | undefined): number | undefined {
  if (handle === undefined) return fd
  const taken = takeSocket(handle.fd, true)
  handle.close()
  return typeof taken === 'number' ? taken : undefined
}

/** The start data if this worker is a thread. */
const thread = workerData === null ? undefined : (workerData as ThreadStart)
const port = thread?.port
let unsent = 0
let ending: number | undefined

/** Sends a message. Throws for a value that can't be cloned, and then nothing is sent. */
function post(message: FromWorker): void {
  if (port !== undefined) return port.postMessage(message)
  if (process.send === undefined) return
  process.send(sealed(message), undefined, {}, () => {
    if (--unsent === 0 && ending !== undefined) process.exit(ending)
  })
  unsent++
}

/** Exits when all messages have been sent to the pool. */
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
    // An error that a user's handler throws isn't caught: the worker crashes, as any process would.
    void main?.execute(message, handle)
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
  // The pool has ended: no other process would end this one.
  process.on('disconnect', () => process.exit(1))
  // The whole process group gets the signals of Ctrl-C, systemd and PM2; the pool decides what to do.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
}
