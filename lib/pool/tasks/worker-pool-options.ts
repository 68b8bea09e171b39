import { statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { ResourceLimits, Transferable } from 'node:worker_threads'
import { invalidType, invalidValue } from '../../base/errors.js'
import { checkBoolean, checkInteger, checkKeys, checkObject, checkSignal, keysOf } from '../../base/validate.js'
import { Connection } from '../../connection/connection.js'
import { checkModule } from '../module-url.js'
import { modulesWith } from '../pool-role.js'
import type { RemoteConnection } from './remote-connection.js'

/** Options of a `WorkerPool`. */
export interface WorkerPoolOptions {
  /**
   * The module whose default export, a `WorkerPoolTask`, is called for each task. An absolute path or a `file:` URL.
   */
  filename: string | URL
  /** Worker threads. 1 to 1024. Default: one for each CPU that this process may use. */
  size?: number | undefined
  /**
   * The max number of waiting tasks. From three quarters of it on, connections that bring more are not read. 1 to 2^24.
   * Default: 1,000,000.
   */
  maxQueue?: number | undefined
  /**
   * A connection's share: with this number of unfinished tasks it isn't read, until half of them are done. 1 to 2^24.
   * Default: 1024.
   */
  maxTasksPerConnection?: number | undefined
  /** Limits of each worker, as for `new Worker()`. One that runs out of memory fails its task, and is replaced. */
  resourceLimits?: ResourceLimits | undefined
}

/** The second argument of a task, in addition to its value. */
export interface WorkerPoolTaskContext {
  /** The connection that the task belongs to, if it was run with one. */
  readonly connection: RemoteConnection | undefined
}

/**
 * The type of the default export of a `WorkerPool`'s module.
 *
 * @example
 * const resize: WorkerPoolTask<Uint8Array, Uint8Array> = (image, { connection }) => shrink(image)
 * export default resize
 */
export type WorkerPoolTask<Task = unknown, Result = unknown> = (
  task: Task,
  context: WorkerPoolTaskContext,
) => Result | Promise<Result>

/** Options of `pool.run()`. */
export interface RunOptions<T = unknown> {
  /**
   * The connection that the task belongs to: its `close` cancels the task while it waits, and it isn't read while it
   * has too many tasks.
   */
  connection?: Connection<T> | undefined
  /** Cancels the task: immediately if it waits; if it runs, by ending its worker, which is replaced. */
  signal?: AbortSignal | undefined
  /** Objects in `task` to be moved to the worker, and not copied. */
  transfer?: readonly Transferable[] | undefined
  /** Settles after all earlier ordered tasks of its connection. Default: `false`. */
  ordered?: boolean | undefined
}

const poolOptionKeys = keysOf<WorkerPoolOptions>({
  filename: true,
  size: true,
  maxQueue: true,
  maxTasksPerConnection: true,
  resourceLimits: true,
})
const runOptionKeys = keysOf<RunOptions>({ connection: true, signal: true, transfer: true, ordered: true })

/** @internal */
export function checkWorkerPoolOptions(options: WorkerPoolOptions) {
  if (options === undefined) throw invalidType('options', 'an object', options)
  const given = checkObject('options', options)
  checkKeys('options', given, poolOptionKeys, { module: 'filename', maxThreads: 'size', threads: 'size' })
  const { size = availableParallelism(), maxQueue = 1_000_000, maxTasksPerConnection = 1024, resourceLimits } = given
  checkObject('resourceLimits', resourceLimits)
  const checked = {
    size: checkInteger('size', size, 1, 1024),
    maxQueue: checkInteger('maxQueue', maxQueue, 1, 2 ** 24),
    maxTasksPerConnection: checkInteger('maxTasksPerConnection', maxTasksPerConnection, 1, 2 ** 24),
    filename: checkModule('filename', given.filename),
    resourceLimits,
  }
  checkThere(checked.filename)
  return { ...checked, modules: modulesWith('filename', checked.filename) }
}

/** @internal */
export function checkRunOptions<T>(options: RunOptions<T> | undefined) {
  const given = checkObject('options', options)
  if (options instanceof Connection) throw invalidType('options', '{ connection }', options)
  checkKeys('options', given, runOptionKeys)
  const { connection, signal, transfer, ordered = false } = given
  if (connection !== undefined && !(connection instanceof Connection)) {
    throw invalidType('connection', 'a Connection', connection)
  }
  if (transfer !== undefined && !Array.isArray(transfer)) throw invalidType('transfer', 'an array', transfer)
  checkSignal(signal)
  checkBoolean('ordered', ordered)
  if (ordered && connection === undefined) {
    throw invalidValue('"ordered" needs a "connection": each has an order of its own')
  }
  return { conn: connection as Connection<never> | undefined, signal, transfer, ordered }
}

/** Throws if the file doesn't exist: an error in a name is found here, and not by the first task. */
function checkThere(filename: string): void {
  const path = fileURLToPath(new URL(filename))
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === true) return
  throw Object.assign(new Error(`Cannot find module '${path}', the "filename" of a WorkerPool`), {
    code: 'ERR_MODULE_NOT_FOUND',
  })
}
