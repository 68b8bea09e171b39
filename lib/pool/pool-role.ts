import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { workerData } from 'node:worker_threads'
import { invalidValue } from '../base/errors.js'

/** @internal The start data of a pool's worker thread. */
export interface PoolThreadData {
  readonly c1mPool: true
  /** The modules of the pools that it belongs to: its own is the last. */
  readonly modules: readonly string[]
}

/** @internal The program of a `ReactorPool`'s workers. */
export const REACTOR_WORKER = join(__dirname, 'reactors', 'worker-main.js')

const given = workerData as Partial<PoolThreadData> | null | undefined
const isPoolThread = given?.c1mPool === true

/**
 * True if this thread or process is a worker of a `ReactorPool` or `WorkerPool`. So one module can be both the program
 * that makes the pool and the one that its workers load, as with `cluster.isPrimary`.
 *
 * @example
 * if (!isPoolWorker) {
 *   const pool = new ReactorPool({ module: new URL(import.meta.url) })
 *   await pool.listen({ port: 7000 })
 * }
 * export function setup() { return { data(conn, chunk) { conn.write(chunk) } } }
 */
export const isPoolWorker: boolean = isPoolThread || process.argv[1] === REACTOR_WORKER

/**
 * The modules of this worker's pools. A process gets them by its first message: a module that is loaded before
 * (`--require`) is no module of a pool.
 */
let modules: readonly string[] | undefined = isPoolThread ? (given?.modules ?? []) : isPoolWorker ? undefined : []

/** @internal Sets the modules of this process's pools. */
export function enterPool(all: readonly string[]): void {
  modules = all
}

/**
 * @internal Returns the modules of this thread's pools plus the one of a new pool. Throws if that module would start
 * itself without end.
 */
export function modulesWith(option: string, module: string): readonly string[] {
  const own = realOf(module)
  if (modules?.includes(own) === false) return [...modules, own]
  throw invalidValue(
    `"${option}" of a pool is loaded by each of its workers, and this one makes the pool again: it would start ` +
      'itself without end. Make the pool in another module, or only where "isPoolWorker" is false',
  )
}

/** Returns the path without a query, and with links resolved: the same file under another name is the same. */
function realOf(module: string): string {
  const path = fileURLToPath(new URL(module.replace(/[?#].*$/s, '')))
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
