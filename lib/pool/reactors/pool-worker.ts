import type { Socket } from 'node:net'
import { errorFromWire } from '../wire-error.js'
import { type FromWorker, MAX_UNHEARD, type ToWorker, workerFailed } from './messages.js'
import type { CheckedPool } from './reactor-pool-options.js'
import { openChannel, type WorkerChannel, type WorkerExit } from './worker-channel.js'

type Ask<M = ToWorker> = M extends { ask: number } ? Omit<M, 'ask'> : never

/** After its deadline a worker that drains has so long to end. */
const GRACE_MS = 3000
/**
 * What may be on its way to a worker whose JS thread is busy, and takes none of it: connections, which hold a descriptor
 * each; and questions, with the bytes of their broadcasts.
 */
const MAX_GIVEN = 1024
const MAX_ASKED = 10_000
const MAX_ASKED_BYTES = 16 * 2 ** 20
/** It hears of so many of its messages at a time that they have been taken. */
const HEARD_EACH = 256

/** @internal Of whom it hears. */
export interface WorkerEvents {
  /** A message of the user's. */
  message(value: unknown): void
  /** It can take more connections than it could before. */
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
  /** Resolves when `setup` has; rejects if the worker ends before, or there is none to be had. */
  readonly ready: Promise<void>
  readonly exited: Promise<WorkerExit>
  /** As it last said. */
  connections = 0
  /** `setup` has returned. */
  started = false
  /** It has been told to end, so that its end is no crash. */
  ending = false
  readonly #channel: WorkerChannel | undefined
  readonly #events: WorkerEvents
  readonly #asked = new Map<number, Question>()
  #askedBytes = 0
  /** Of connections handed to it, which has yet to say that it has them: what gives them up. */
  readonly #given: (() => void)[] = []
  #taken = 0
  #sent = 0
  #heard = 0
  /** Messages of the user's that it has sent. */
  #toldUs = 0
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

  /** By which the least busy one is found. */
  get load(): number {
    return this.connections + this.#given.length
  }

  /** Whether it has so many connections to take that another one is to wait. */
  get behind(): boolean {
    return this.#given.length >= MAX_GIVEN
  }

  /** Whether it has so many questions to answer that it is to be left out. */
  get silent(): boolean {
    return this.#asked.size >= MAX_ASKED || this.#askedBytes >= MAX_ASKED_BYTES
  }

  /** Resolves with its answer; rejects with its error, or if it ends before. */
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

  /** A message of the user's. `false`, and it isn't sent, if the worker has ended or so many wait already. */
  send(value: unknown): boolean {
    if (this.#gone || this.#sent - this.#heard >= MAX_UNHEARD) return false
    this.#channel?.post({ type: 'message', value })
    this.#sent++
    return true
  }

  /** Hands a connection over. */
  give(listener: number, socket: Socket): void {
    if (this.#gone || this.#channel === undefined) {
      socket.destroy()
      return
    }
    this.#given.push(this.#channel.give({ type: 'connection', listener }, socket))
  }

  /** Lets it drain and end. Called again, the earlier deadline holds. */
  async drain(timeoutMs: number): Promise<{ drained: number; cut: number }> {
    this.ending = true
    const held = this.connections
    const timer = setTimeout(() => this.kill(), Math.min(timeoutMs + GRACE_MS, 2 ** 31 - 1))
    const deadline = performance.now() + timeoutMs
    const earlier = deadline < this.#deadline
    this.#deadline = Math.min(deadline, this.#deadline)
    try {
      if (earlier) return await this.ask<{ drained: number; cut: number }>({ type: 'shutdown', timeoutMs })
      return { drained: 0, cut: 0 }
    } catch {
      // It has ended in another way, and its connections with it.
      return { drained: 0, cut: held }
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
        message: (message) => this.#hear(message),
        exit: (how) => this.#exit(how),
      })
      const reactor = reactorOptions(this.index, options)
      const start = { index: this.index, module, modules, data, reactor, maxOpenFiles: options.maxOpenFiles }
      channel.post({ type: 'start', start })
    } catch (reason) {
      const error = reason as Error
      if (channel !== undefined) {
        // `data` can't be cloned.
        this.#started.reject(error)
        channel.kill()
      } else {
        // Later, as of any other worker.
        setImmediate(() => this.#exit({ code: null, signal: null, error }))
      }
    }
    return channel
  }

  #hear(message: FromWorker): void {
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
        this.#heard = message.heard
        this.#given.splice(0, message.taken - this.#taken)
        this.#taken = message.taken
        this.#events.room()
        break
      }
      case 'message':
        if (++this.#toldUs % HEARD_EACH === 0) this.#channel?.post({ type: 'heard', heard: this.#toldUs })
        this.#events.message(message.value)
        break
      case 'answer': {
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
    for (const giveUp of this.#given.splice(0)) giveUp()
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
