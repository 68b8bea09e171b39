import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { type FromWorker, fromWire, type ToWorker, workerFailed } from './messages.js'
import type { CheckedPool } from './reactor-pool-options.js'

/** How a worker has ended. */
export interface WorkerExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** What it threw, if it is a thread and told. */
  readonly error?: Error
}

/** @internal A thread or a process, and the way to it. */
interface Channel {
  /** Of the process or of the thread. */
  readonly id: number
  /** With a descriptor, which stays this side's: it must be open until the worker has answered. */
  post(message: ToWorker, descriptor: Socket | undefined): void
  kill(): void
}

interface ChannelEvents {
  message(message: FromWorker): void
  exit(how: WorkerExit): void
}

/** What is used of libuv's handle. */
type Handled = Socket & { readonly _handle?: { readonly fd: number } }

type Ask<M = ToWorker> = M extends { ask: number } ? Omit<M, 'ask'> : never

const MAIN = join(__dirname, 'worker-main.js')

/** After its deadline a worker that drains has so long to end. */
const GRACE_MS = 3000

/** @internal One worker of a `ReactorPool`, from its start to its end; never used again. */
export class PoolWorker {
  readonly index: number
  readonly since = performance.now()
  /** Resolves when `setup` has; rejects if the worker ends before. */
  readonly ready: Promise<void>
  readonly exited: Promise<WorkerExit>
  /** As it last said. */
  connections = 0
  /** `setup` has returned. */
  started = false
  /** It has been told to end, so that its end is no crash. */
  ending = false
  readonly #channel: Channel
  readonly #asked = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  readonly #onMessage: (value: unknown) => void
  /** Handed to it, which has yet to say that it has them. */
  readonly #given: Socket[] = []
  #taken = 0
  #nextAsk = 0
  #gone = false
  #started: { resolve(): void; reject(error: Error): void } = { resolve() {}, reject() {} }
  #ended: (how: WorkerExit) => void = () => {}

  constructor(index: number, options: CheckedPool, onMessage: (value: unknown) => void) {
    this.index = index
    this.#onMessage = onMessage
    this.ready = new Promise<void>((resolve, reject) => {
      this.#started = { resolve, reject }
    })
    const { startTimeoutMs: ms } = options
    const late = () => this.#started.reject(workerFailed(index, `did not start within ${ms} ms`))
    const timer = ms > 0 ? setTimeout(late, ms) : undefined
    this.ready.catch(() => {}).finally(() => clearTimeout(timer))
    this.exited = new Promise((resolve) => {
      this.#ended = resolve
    })
    const open = options.mode === 'threads' ? openThread : openProcess
    this.#channel = open(options, { message: (message) => this.#hear(message), exit: (how) => this.#exit(how) })
    const start = { index, module: options.module, data: options.data, reactor: reactorOptions(index, options) }
    try {
      this.#channel.post({ type: 'start', start }, undefined)
    } catch (error) {
      // `data` can't be cloned.
      this.kill()
      throw error
    }
  }

  get id(): number {
    return this.#channel.id
  }

  /** By which the least busy one is found. */
  get load(): number {
    return this.connections + this.#given.length
  }

  /** Resolves with its answer; rejects with its error, or if it ends before. */
  ask<R>(message: Ask, descriptor?: Socket): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      if (this.#gone) return reject(workerFailed(this.index, 'has ended'))
      const ask = this.#nextAsk++
      this.#asked.set(ask, { resolve: resolve as (value: unknown) => void, reject })
      this.#channel.post({ ...message, ask } as ToWorker, descriptor)
    })
  }

  /** A message of the user's. */
  send(value: unknown): void {
    if (!this.#gone) this.#channel.post({ type: 'message', value }, undefined)
  }

  /** Hands a connection over. */
  give(listener: number, socket: Socket): void {
    if (this.#gone) {
      socket.destroy()
      return
    }
    this.#given.push(socket)
    this.#channel.post({ type: 'connection', listener }, socket)
  }

  /** Lets it drain and end. */
  async drain(timeoutMs: number): Promise<{ drained: number; cut: number }> {
    this.ending = true
    const held = this.connections
    const timer = setTimeout(() => this.kill(), Math.min(timeoutMs + GRACE_MS, 2 ** 31 - 1))
    try {
      return await this.ask<{ drained: number; cut: number }>({ type: 'shutdown', timeoutMs })
    } catch {
      // It has ended in another way, and its connections with it.
      return { drained: 0, cut: held }
    } finally {
      await this.exited
      clearTimeout(timer)
    }
  }

  kill(): void {
    this.#channel.kill()
  }

  #hear(message: FromWorker): void {
    switch (message.type) {
      case 'ready':
        this.started = true
        this.#started.resolve()
        break
      case 'failed':
        this.#started.reject(
          workerFailed(this.index, `could not start: ${message.error.message}`, fromWire(message.error)),
        )
        break
      case 'load':
        this.connections = message.connections
        for (; this.#taken < message.taken; this.#taken++) this.#given.shift()?.destroy()
        break
      case 'message':
        this.#onMessage(message.value)
        break
      case 'answer': {
        const asked = this.#asked.get(message.ask)
        this.#asked.delete(message.ask)
        if (message.error === undefined) asked?.resolve(message.value)
        else asked?.reject(fromWire(message.error))
      }
    }
  }

  #exit(how: WorkerExit): void {
    if (this.#gone) return
    this.#gone = true
    this.connections = 0
    const error = workerFailed(this.index, `has ended: ${how.signal ?? `exit code ${how.code}`}`, how.error)
    this.#started.reject(error)
    for (const { reject } of this.#asked.values()) reject(error)
    this.#asked.clear()
    for (const socket of this.#given.splice(0)) socket.destroy()
    this.#ended(how)
  }
}

function reactorOptions(index: number, { reactor, cpus }: CheckedPool) {
  if (cpus === undefined) return reactor
  const given = reactor?.ioThreads ?? 1
  const { count = 1 } = typeof given === 'object' ? given : { count: given }
  return { ...reactor, ioThreads: { count, cpus: [cpus[index % cpus.length] as number] } }
}

function openThread({ env, execArgv, resourceLimits }: CheckedPool, events: ChannelEvents): Channel {
  const worker = new Worker(MAIN, {
    ...(env !== undefined && { env }),
    ...(execArgv !== undefined && { execArgv: [...execArgv] }),
    ...(resourceLimits !== undefined && { resourceLimits }),
  })
  let error: Error | undefined
  worker.on('message', events.message)
  worker.on('error', (reason: Error) => {
    error = reason
  })
  worker.on('exit', (code) => events.exit({ code, signal: null, ...(error !== undefined && { error }) }))
  return {
    id: worker.threadId,
    post(message, descriptor) {
      // One table of descriptors: the number will do.
      const fd = (descriptor as Handled | undefined)?._handle?.fd
      worker.postMessage(fd === undefined ? message : { ...message, fd })
    },
    kill: () => void worker.terminate(),
  }
}

function openProcess({ env, execArgv, maxOpenFiles }: CheckedPool, events: ChannelEvents): Channel {
  const inherited = process.execArgv.filter((option) => !option.startsWith('--inspect'))
  const node = [process.execPath, ...(execArgv ?? inherited), MAIN]
  const limited =
    maxOpenFiles === undefined ? node : ['sh', '-c', `ulimit -n ${maxOpenFiles} && exec "$@"`, 'sh', ...node]
  const [file, ...args] = limited as [string, ...string[]]
  const child: ChildProcess = spawn(file, args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
    ...(env !== undefined && { env }),
  })
  child.on('message', (message) => events.message(message as FromWorker))
  child.on('exit', (code, signal) => {
    // Its last words may still be in the channel, which ends behind them.
    if (child.connected) child.once('disconnect', () => events.exit({ code, signal }))
    else events.exit({ code, signal })
  })
  child.on('error', (error) => {
    if (child.pid === undefined) events.exit({ code: null, signal: null, error })
  })
  return {
    id: child.pid ?? 0,
    post(message, descriptor) {
      // Node passes libuv's handles between processes, as `cluster` does, and leaves them open on this side.
      const handle = (descriptor as Handled | undefined)?._handle as Socket | undefined
      if (child.connected) child.send(message, handle, {}, () => {})
    },
    kill: () => void child.kill('SIGKILL'),
  }
}
