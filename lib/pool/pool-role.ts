import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { workerData } from 'node:worker_threads'
import { invalidValue } from '../base/errors.js'

/** @internal What a worker thread of a pool is given with its start. */
export interface PoolThreadData {
  readonly c1mPool: true
  /** The modules of the pools that it is in: its own last. */
  readonly modules: readonly string[]
}

/** @internal The program of a `ReactorPool`'s workers. */
export const REACTOR_WORKER = join(__dirname, 'reactors', 'worker-main.js')

const given = workerData as Partial<PoolThreadData> | null | undefined
const isPoolThread = given?.c1mPool === true

/**
 * Whether this thread or process is a worker of a `ReactorPool` or `WorkerPool`: so a module can be both the program that
 * makes the pool and what its workers load, as with `cluster.isPrimary`.
 *
 * @example
 * if (!isPoolWorker) {
 *   const pool = new ReactorPool({ module: new URL(import.meta.url) })
 *   await pool.listen({ port: 7000 })
 * }
 * export function setup() { return { data(conn, chunk) { conn.write(chunk) } } }
 */
export const isPoolWorker: boolean = isPoolThread || process.argv[1] === REACTOR_WORKER

/** A process hears of its modules by its first message: what is loaded before (`--require`) is no module of a pool. */
let modules: readonly string[] | undefined = isPoolThread ? (given?.modules ?? []) : isPoolWorker ? undefined : []

/** @internal This process has heard of them. */
export function enterPool(all: readonly string[]): void {
  modules = all
}

/** @internal Those of this thread's pools, and of one that it makes. Throws if that would start itself without end. */
export function modulesWith(option: string, module: string): readonly string[] {
  const own = realOf(module)
  if (modules?.includes(own) === false) return [...modules, own]
  throw invalidValue(
    `"${option}" of a pool is loaded by each of its workers, and this one makes the pool anew: it would start itself ` +
      'without end. Make the pool in another module, or only where "isPoolWorker" is false',
  )
}

/** Without a query, and with links resolved: the same file under another name is the same. */
function realOf(module: string): string {
  const path = fileURLToPath(new URL(module.replace(/[?#].*$/s, '')))
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
