import type { Socket } from 'node:net'
import { errorFromWire } from '../wire-error.js'
import { MessageWindow } from './message-window.js'
import { type FromWorker, type ToWorker, workerFailed } from './messages.js'
import type { CheckedPool } from './reactor-pool-options.js'
import { openChannel, type WorkerChannel, type WorkerExit } from './worker-channel.js'

type Ask<M = ToWorker> = M extends { ask: number } ? Omit<M, 'ask'> : never

/** The time that a draining worker has to end after its deadline. */
const GRACE_MS = 3000
/**
 * The max in flight to a worker whose JS thread is busy: connections, each with a descriptor; and requests, with the
 * bytes of their broadcasts.
 */
const MAX_GIVEN = 1024
const MAX_ASKED = 10_000
const MAX_ASKED_BYTES = 16 * 2 ** 20
/** The number of its messages after which a worker is notified that they have been taken. */
const NOTIFY_EACH = 256

/** @internal The events of a worker, for its pool. */
export interface WorkerEvents {
  /** A message of the user's has come. */
  message(value: unknown): void
  /** The worker can take more connections than before. */
  room(): void
}

interface Question {
  readonly bytes: number
  resolve(value: unknown): void
  reject(error: Error): void
}

/** @internal One worker of a `ReactorPool`, from its start to its end; never used again. */
export class PoolWorker {
  readonly index: number
  readonly since = performance.now()
  /** Resolves when `setup` has; rejects if the worker ends before, or can't be started. */
  readonly ready: Promise<void>
  readonly exited: Promise<WorkerExit>
  /** The number of connections that it last reported. */
  connections = 0
  /** True once `setup` has returned. */
  started = false
  /** True once it has been instructed to end, so that its end is no crash. */
  ending = false
  readonly #channel: WorkerChannel | undefined
  readonly #events: WorkerEvents
  readonly #asked = new Map<number, Question>()
  #askedBytes = 0
  /** Functions that drop a connection that was handed to it and that it has not confirmed. */
  readonly #given: (() => void)[] = []
  /** The number of connections that it has taken. */
  #taken = 0
  /** The user's messages to it, and the number of those from it. */
  readonly #messages = new MessageWindow()
  #received = 0
  #nextAsk = 0
  #gone = false
  #deadline = Number.POSITIVE_INFINITY
  #started: { resolve(): void; reject(error: Error): void } = { resolve() {}, reject() {} }
  #ended: (how: WorkerExit) => void = () => {}

  constructor(index: number, options: CheckedPool, events: WorkerEvents) {
    this.index = index
    this.#events = events
    this.ready = new Promise<void>((resolve, reject) => {
      this.#started = { resolve, reject }
    })
    const { startTimeoutMs: ms } = options
    const late = () => this.#started.reject(workerFailed(index, `did not start within ${ms} ms`))
    const timer = ms > 0 ? setTimeout(late, ms) : undefined
    const started = () => clearTimeout(timer)
    this.ready.then(started, started)
    this.exited = new Promise((resolve) => {
      this.#ended = resolve
    })
    this.#channel = this.#open(options)
  }

  get id(): number {
    return this.#channel?.id ?? 0
  }

  /** The load by which the least busy worker is found. */
  get load(): number {
    return this.connections + this.#given.length
  }

  /** True if it has the max of connections to take, so that the next one must wait. */
  get behind(): boolean {
    return this.#given.length >= MAX_GIVEN
  }

  /** True if it has the max of requests to reply to, so that it is left out. */
  get silent(): boolean {
    return this.#asked.size >= MAX_ASKED || this.#askedBytes >= MAX_ASKED_BYTES
  }

  /** Sends a request; resolves with its reply, rejects with its error, or if the worker ends before. */
  ask<R>(message: Ask, socket?: Socket): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      if (this.#gone) return reject(workerFailed(this.index, 'has ended'))
      const ask = this.#nextAsk++
      this.#channel?.post({ ...message, ask } as ToWorker, socket)
      const bytes = message.type === 'broadcast' ? message.bytes.length : 0
      this.#askedBytes += bytes
      this.#asked.set(ask, { bytes, resolve: resolve as (value: unknown) => void, reject })
    })
  }

  /**
   * Sends a message of the user's. Returns `false`, and sends nothing, if the worker has ended or the max number waits
   * already.
   */
  send(value: unknown): boolean {
    return !this.#gone && this.#messages.send(() => this.#channel?.post({ type: 'message', value }))
  }

  /** Hands a connection over. */
  give(listener: number, socket: Socket): void {
    if (this.#gone || this.#channel === undefined) {
      socket.destroy()
      return
    }
    this.#given.push(this.#channel.give({ type: 'connection', listener }, socket))
  }

  /** Lets the worker drain and end. If called again, the earlier deadline holds. */
  async drain(timeoutMs: number): Promise<{ drained: number; cut: number }> {
    this.ending = true
    const open = this.connections
    const timer = setTimeout(() => this.kill(), Math.min(timeoutMs + GRACE_MS, 2 ** 31 - 1))
    const deadline = performance.now() + timeoutMs
    const earlier = deadline < this.#deadline
    this.#deadline = Math.min(deadline, this.#deadline)
    try {
      if (earlier) return await this.ask<{ drained: number; cut: number }>({ type: 'shutdown', timeoutMs })
      return { drained: 0, cut: 0 }
    } catch {
      // The worker has ended in another way, and its connections with it.
      return { drained: 0, cut: open }
    } finally {
      await this.exited
      clearTimeout(timer)
    }
  }

  kill(): void {
    this.#channel?.kill()
  }

  #open(options: CheckedPool): WorkerChannel | undefined {
    const { module, modules, data } = options
    let channel: WorkerChannel | undefined
    try {
      channel = openChannel(options, {
        message: (message) => this.#receive(message),
        exit: (how) => this.#exit(how),
      })
      const reactor = reactorOptions(this.index, options)
      const start = { index: this.index, module, modules, data, reactor, maxOpenFiles: options.maxOpenFiles }
      channel.post({ type: 'start', start })
    } catch (reason) {
      const error = reason as Error
      if (channel !== undefined) {
        // The pool's `data` can't be cloned.
        this.#started.reject(error)
        channel.kill()
      } else {
        // The exit is reported later, as that of any other worker.
        setImmediate(() => this.#exit({ code: null, signal: null, error }))
      }
    }
    return channel
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'ready':
        this.started = true
        this.#started.resolve()
        break
      case 'failed': {
        const cause = errorFromWire(message.error)
        this.#started.reject(workerFailed(this.index, `could not start: ${cause.message}`, cause))
        break
      }
      case 'load': {
        this.connections = message.connections
        const { connections, messages } = message.taken
        this.#messages.update(messages)
        this.#given.splice(0, connections - this.#taken)
        this.#taken = connections
        this.#events.room()
        break
      }
      case 'message':
        if (++this.#received % NOTIFY_EACH === 0) this.#channel?.post({ type: 'taken', messages: this.#received })
        this.#events.message(message.value)
        break
      case 'reply': {
        const asked = this.#asked.get(message.ask)
        if (asked === undefined) break
        this.#asked.delete(message.ask)
        this.#askedBytes -= asked.bytes
        if (message.error === undefined) asked.resolve(message.value)
        else asked.reject(errorFromWire(message.error))
      }
    }
  }

  #exit(how: WorkerExit): void {
    if (this.#gone) return
    this.#gone = true
    this.connections = 0
    const error = workerFailed(this.index, whatOf(how), how.error)
    this.#started.reject(error)
    for (const { reject } of this.#asked.values()) reject(error)
    this.#asked.clear()
    for (const drop of this.#given.splice(0)) drop()
    this.#ended(how)
  }
}

function whatOf({ code, signal, error }: WorkerExit): string {
  if (code === null && signal === null) return `could not start: ${error?.message}`
  return `has ended: ${signal ?? `exit code ${code}`}`
}

function reactorOptions(index: number, { reactor, cpus }: CheckedPool) {
  if (cpus === undefined) return reactor
  const given = reactor?.ioThreads ?? 1
  const { count = 1 } = typeof given === 'object' ? given : { count: given }
  return { ...reactor, ioThreads: { count, cpus: [cpus[index % cpus.length] as number] } }
}
