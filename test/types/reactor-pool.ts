import type {
  BroadcastResult,
  Handlers,
  PoolListener,
  PoolListenOptions,
  Reactor,
  ReactorPool,
  ReactorPoolOptions,
  ReactorPoolSetup,
  ReactorPoolStats,
  ReactorStats,
  ShutdownResult,
  WorkerContext,
  WorkerPool,
  WorkerPoolOptions,
  WorkerPoolTask,
} from 'c1m'
import { holds, type Same } from './same.js'

// Compiled, and never run: the options and results of a pool, and the exports of its module.

export const poolOptions: ReactorPoolOptions[] = [
  { module: new URL('file:///worker.mjs') },
  { module: '/worker.mjs', size: 4, mode: 'processes', maxOpenFiles: 100_000, cpus: [0, 1], execArgv: ['--expose-gc'] },
  { module: '/worker.mjs', mode: 'threads', resourceLimits: { maxOldGenerationSizeMb: 64 }, data: { any: 'thing' } },
  { module: '/worker.mjs', reactor: { maxConnections: 1000, ioThreads: 2 }, env: { NODE_ENV: 'test' } },
  // @ts-expect-error: what is a worker to load?
  {},
  // @ts-expect-error: threads or processes
  { module: '/worker.mjs', mode: 'fork' },
  // @ts-expect-error: an option of `new Reactor()` stands below `reactor`
  { module: '/worker.mjs', maxConnections: 1000 },
]

declare const maybe: number | undefined
/** `undefined` counts as left out, also with `exactOptionalPropertyTypes`. */
export const leftOut: [ReactorPoolOptions, WorkerPoolOptions, PoolListenOptions] = [
  { module: '/worker.mjs', size: maybe, mode: undefined, startTimeoutMs: maybe, env: undefined, execArgv: undefined },
  { filename: '/task.mjs', size: maybe, maxQueue: maybe, resourceLimits: undefined },
  { port: 0, handlers: undefined, placement: undefined, backlog: maybe },
]
export const poolListenOptions: PoolListenOptions[] = [
  { path: '/run/app.sock' },
  // @ts-expect-error: where?
  {},
  // @ts-expect-error: one of the two
  { port: 0, path: '/run/app.sock' },
]
export async function ended(reactor: Reactor, reactors: ReactorPool, workers: WorkerPool): Promise<void> {
  await reactor.shutdown({ timeoutMs: maybe })
  await reactors.restart({ timeoutMs: maybe })
  await reactors.shutdown({ timeoutMs: maybe })
  await workers.close({ force: undefined })
}

interface Session {
  name: string
}
const handlers: Handlers<Session> = {
  open(conn) {
    conn.data = { name: 'a' }
  },
}

export const setups: ReactorPoolSetup[] = [
  () => handlers,
  async (reactor, context) => {
    holds<Same<typeof reactor, Reactor>>()
    holds<Same<typeof context, WorkerContext>>()
    holds<Same<typeof context.index, number>>()
    holds<Same<typeof context.data, unknown>>()
    holds<Same<typeof context.draining, boolean>>()
    context.on('message', (value) => context.send(value))
    context.on('drain', () => {})
    return { web: handlers, admin: { data: (conn, chunk) => void conn.write(chunk) } }
  },
  () => undefined,
  () => {},
  async () => {},
]
// @ts-expect-error: neither handlers nor handlers by name
export const wrongSetup: ReactorPoolSetup = () => 5

export async function used(pool: ReactorPool): Promise<void> {
  const listener = await pool.listen({ port: 7000, backlog: 511, placement: 'cpu', handlers: 'web' })
  holds<Same<typeof listener, PoolListener>>()
  // @ts-expect-error: a placement among I/O threads, and not among workers
  await pool.listen({ port: 7000, placement: 'round-robin' })
  // @ts-expect-error: handlers are the workers' own, and are called by their name
  await pool.listen({ port: 7000, handlers })
  // @ts-expect-error: the pool has sockets of its own
  await pool.listen({ fd: 3 })
  await listener.close()

  const stats = await pool.stats()
  holds<Same<typeof stats, ReactorPoolStats>>()
  for (const worker of stats.workers) holds<Same<typeof worker.reactor, ReactorStats>>()
  holds<Same<typeof pool.connections, number>>()
  const said = await pool.broadcast('x')
  holds<Same<typeof said, BroadcastResult>>()
  const told: number = pool.send({ any: 'thing' }, 0)
  pool.on('message', (value, worker) => {
    holds<Same<typeof value, unknown>>()
    holds<Same<typeof worker, number>>()
  })
  pool.on('crash', ({ worker, code, signal, error }) => {
    holds<Same<typeof error, Error | undefined>>()
    console.log(told, worker, code, signal)
  })
  const [restarted, down] = [await pool.restart({ timeoutMs: 1 }), await pool.shutdown()]
  holds<Same<typeof restarted, ShutdownResult>>()
  holds<Same<typeof down, ShutdownResult>>()
  // @ts-expect-error: milliseconds
  await pool.shutdown(1000)
}

export const tasks: WorkerPoolTask<string, number>[] = [
  (text, { connection }) => {
    connection?.write(text)
    return text.length
  },
  async (text) => text.length,
  // @ts-expect-error: not what it returns
  (text) => text,
]
