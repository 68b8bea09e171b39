/** @internal What runs in each worker of a `ReactorPool`, be it a thread or a process. */
import { parentPort } from 'node:worker_threads'
import type { AdoptOptions } from '../adopt.js'
import { type Failure, takeSocket } from '../binding.js'
import { invalidValue } from '../errors.js'
import type { Listener } from '../listener.js'
import { connectionOptionKeys, type Handlers } from '../options.js'
import { Reactor } from '../reactor.js'
import type { SocketOptions } from '../socket-options.js'
import { socketOptionKeys } from '../socket-options.js'
import { type FromWorker, framingOf, type ToWorker, toWire, type WorkerListen, type WorkerStart } from './messages.js'
import { type ReactorPoolSetup, WorkerContext } from './worker-context.js'

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
  /** By the number of their socket. */
  readonly #listeners = new Map<number, Listener<unknown>>()
  /** By the number of their listener. */
  readonly #handed = new Map<number, Handed>()
  #handlers: unknown
  #reported = 0
  #taken = 0
  #reporting = false

  constructor(start: WorkerStart) {
    this.#start = start
    this.#reactor = new Reactor(start.reactor)
    this.#context = new WorkerContext(start.index, start.data, (value) => post({ type: 'message', value }))
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
        this.#context.emit('message', message.value)
        return
      case 'connection':
        return this.#take(message.listener, handle?.fd ?? message.fd, handle)
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
        this.#context.drain()
        return this.#reactor.shutdown({ timeoutMs: message.timeoutMs })
    }
  }

  async #listen({ listener, socket, handlers: name, options, framing }: WorkerListen, fd: number | undefined) {
    const handlers = this.#handlersFor(name)
    const framed = { ...options, framing: framingOf(framing) }
    if (socket === undefined || fd === undefined) {
      const socketOptions = pick(options, socketOptionKeys)
      this.#handed.set(listener, {
        handlers,
        options: pick(framed, connectionOptionKeys),
        socket: Object.keys(socketOptions).length > 0 ? socketOptions : undefined,
      })
      return
    }
    this.#listeners.set(socket, await this.#reactor.listen({ ...framed, fd }, handlers))
  }

  async #unlisten({ listener: number, socket }: { listener: number; socket: number | undefined }): Promise<void> {
    if (socket === undefined) {
      this.#handed.delete(number)
      return
    }
    const listener = this.#listeners.get(socket)
    this.#listeners.delete(socket)
    await listener?.close()
  }

  #handlersFor(name: string | undefined): Handlers<unknown> {
    if (name === undefined) return this.#handlers as Handlers<unknown>
    const found = (this.#handlers as Record<string, unknown>)[name]
    if (typeof found !== 'object' || found === null) throw invalidValue(`"setup" returned no handlers named '${name}'`)
    return found
  }

  /** The pool closes its descriptor when it hears of it. */
  async #take(listener: number, fd: number | undefined, handle: Handle | undefined): Promise<void> {
    const to = this.#handed.get(listener)
    // One that its peer has reset meanwhile has none any more.
    const taken: number | Failure | undefined = fd === undefined ? undefined : takeSocket(fd, true)
    handle?.close()
    try {
      if (to === undefined || typeof taken !== 'number') return
      const conn = await this.#reactor.adopt(taken, to.handlers, to.options)
      if (to.socket !== undefined) await conn.setOptions(to.socket)
    } catch {
      // It has closed, or the reactor is full or ended: then that is what its peer sees.
    } finally {
      this.#taken++
      this.#reportSoon()
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
    post({ type: 'load', connections: this.#reported, taken: this.#taken })
  }
}

function pick<T extends object>(from: T, keys: readonly string[]): Partial<T> {
  return Object.fromEntries(
    Object.entries(from).filter(([key, value]) => keys.includes(key) && value !== undefined),
  ) as Partial<T>
}

let unsent = 0
let ending: number | undefined

function post(message: FromWorker): void {
  if (parentPort !== null) return parentPort.postMessage(message)
  unsent++
  process.send?.(message, undefined, {}, () => {
    if (--unsent === 0 && ending !== undefined) process.exit(ending)
  })
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
  main = new PoolWorkerMain(how)
  await main.setUp()
}

if (parentPort !== null) {
  parentPort.on('message', receive)
} else {
  process.on('message', (message, handle) => receive(message as ToWorker, handle as Handle | undefined))
  // The pool is gone: nobody would end this process.
  process.on('disconnect', () => process.exit(1))
  // Ctrl-C, systemd and PM2 signal the whole group; the pool says what is to be done.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
}
