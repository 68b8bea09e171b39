import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import type { Socket } from 'node:net'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { takeSocket } from '../../native/binding.js'
import { type PoolThreadData, REACTOR_WORKER } from '../pool-role.js'
import { withoutInspector, withoutProgram } from './exec-argv.js'
import { type FromWorker, sealed, type ToWorker, unsealed } from './messages.js'
import type { CheckedPool } from './reactor-pool-options.js'

/** The end of a worker. */
export interface WorkerExit {
  /** The exit code; `null` if a signal ended the process, or it could not be started. */
  readonly code: number | null
  /** The signal that ended the process, for example `'SIGKILL'`; `null` for a thread, and after a regular exit. */
  readonly signal: NodeJS.Signals | null
  /** The error that a thread threw, if it is known; or the reason why the worker could not be started. */
  readonly error?: Error
}

/** @internal A thread or a process, with the channel to it. */
export interface WorkerChannel {
  /** The id of the process or of the thread. */
  readonly id: number
  /**
   * Sends a message, with a socket that stays on this side: it must be open until the worker's reply. Throws for values
   * that can't be cloned.
   */
  post(message: ToWorker, socket?: Socket): void
  /**
   * Hands a connection over: nothing of it is left on this side, so that its end doesn't wait for this thread. Returns
   * a function that drops it, for a worker that ends without having taken it.
   */
  give(message: Extract<ToWorker, { type: 'connection' }>, socket: Socket): () => void
  kill(): void
}

/** @internal */
export interface ChannelEvents {
  message(message: FromWorker): void
  /** Called once, after the worker's last message. */
  exit(how: WorkerExit): void
}

/** @internal The additional start data of a thread. */
export interface ThreadStart {
  readonly port: MessagePort
  /** A counter in its first word: the connections that it has taken. */
  readonly taken: Int32Array
}

/** The part of libuv's handle that is used. */
type Handled = Socket & { readonly _handle?: { readonly fd: number } }

/** @internal Opens the channel of a new worker. Throws if no thread or process can be started. */
export function openChannel(options: CheckedPool, events: ChannelEvents): WorkerChannel {
  return options.mode === 'threads' ? openThread(options, events) : openProcess(options, events)
}

/**
 * Returns the options of a thread: those of this process, unless others are given. `--input-type` belongs to a program
 * that is a text: with it a thread doesn't start if anything is preloaded (`--import`).
 */
function threadArgv(execArgv: readonly string[] | undefined): { execArgv?: string[] } {
  if (execArgv !== undefined) return { execArgv: withoutProgram(execArgv) }
  return process.execArgv.some((option) => option.startsWith('--input-type')) ? { execArgv: [] } : {}
}

function openThread({ env, execArgv, resourceLimits, modules }: CheckedPool, events: ChannelEvents): WorkerChannel {
  // The user has `parentPort`.
  const { port1: port, port2 } = new MessageChannel()
  // The connections that it has taken. Its last message may not say: it may have closed their descriptors since.
  const taken = new Int32Array(new SharedArrayBuffer(4))
  let given = 0
  const worker = new Worker(REACTOR_WORKER, {
    workerData: { c1mPool: true, modules, port: port2, taken } satisfies PoolThreadData & ThreadStart,
    transferList: [port2],
    ...(env !== undefined && { env }),
    ...threadArgv(execArgv),
    ...(resourceLimits !== undefined && { resourceLimits }),
  })
  let error: Error | undefined
  port.on('message', events.message)
  worker.on('error', (reason: unknown) => {
    error = reason instanceof Error ? reason : new Error(String(reason))
  })
  worker.on('exit', (code) => {
    // The thread's last messages are still in the port.
    for (let last = receiveMessageOnPort(port); last !== undefined; last = receiveMessageOnPort(port)) {
      events.message(last.message)
    }
    port.close()
    events.exit({ code, signal: null, ...(error !== undefined && { error }) })
  })
  return {
    id: worker.threadId,
    post(message, socket) {
      // All threads share one table of descriptors, so the number is enough.
      const fd = (socket as Handled | undefined)?._handle?.fd
      port.postMessage(fd === undefined ? message : { ...message, fd })
    },
    give(message, socket) {
      const copy = takeSocket((socket as Handled)._handle?.fd ?? -1, true, true)
      socket.destroy()
      // A connection that its peer has reset meanwhile has no descriptor any more: the worker only counts it.
      const fd = typeof copy === 'number' ? copy : undefined
      port.postMessage(fd === undefined ? message : { ...message, fd })
      const number = given++
      return () => {
        if (fd !== undefined && number >= Atomics.load(taken, 0)) closeSync(fd)
      }
    },
    kill: () => void worker.terminate(),
  }
}

function openProcess({ env, execArgv }: CheckedPool, events: ChannelEvents): WorkerChannel {
  const node = withoutProgram(execArgv ?? withoutInspector(process.execArgv))
  const child: ChildProcess = spawn(process.execPath, [...node, REACTOR_WORKER], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
    ...(env !== undefined && { env }),
  })
  child.on('message', (value) => {
    const message = unsealed<FromWorker>(value)
    if (message !== undefined) events.message(message)
  })
  child.on('exit', (code, signal) => {
    // The process's last messages may still be in the channel, which ends behind them.
    if (child.connected) child.once('disconnect', () => events.exit({ code, signal }))
    else events.exit({ code, signal })
  })
  child.on('error', (error) => {
    if (child.pid === undefined) events.exit({ code: null, signal: null, error })
  })
  // Node passes libuv's handles between processes, as `cluster` does, and leaves them open on this side.
  const send = (message: ToWorker, socket: Socket | undefined, sent: () => void) => {
    const handle = (socket as Handled | undefined)?._handle as Socket | undefined
    if (child.connected) child.send(sealed(message), handle, {}, sent)
    else sent()
  }
  return {
    id: child.pid ?? 0,
    post: (message, socket) => send(message, socket, () => {}),
    give(message, socket) {
      // The kernel has the socket as soon as the message is sent. (unix(7), SCM_RIGHTS)
      send(message, socket, () => socket.destroy())
      return () => socket.destroy()
    },
    kill: () => void child.kill('SIGKILL'),
  }
}
