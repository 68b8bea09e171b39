import { join } from 'node:path'
import { type Connection, delimited, type PoolListener, type ReactorPool, type WorkerPool } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../fixtures/peer.js'
import { makePool } from '../fixtures/pool.js'
import { serve, until } from '../fixtures/reactor.js'
import { MODES, makeReactorPool } from '../fixtures/reactor-pool.js'

const ODD = join(__dirname, '../fixtures/odd-workers.js')
const where = { host: '127.0.0.1', port: 0 } as const

/** What meets what. Whatever comes of a promise, something does. */
const operations: Record<string, (pool: ReactorPool, listener: PoolListener) => Promise<unknown>> = {
  ready: (pool) => pool.ready(),
  listen: (pool) => pool.listen(where),
  'listen, least-connections': (pool) => pool.listen({ ...where, placement: 'least-connections' }),
  'listen by name': (pool) => pool.listen({ ...where, host: 'localhost' }),
  close: (_, listener) => listener.close(),
  restart: (pool) => pool.restart({ timeoutMs: 1000 }),
  broadcast: (pool) => pool.broadcast('to all'),
  stats: (pool) => pool.stats(),
}
const events: Record<string, (pool: ReactorPool) => unknown> = {
  'a shutdown': (pool) => pool.shutdown({ timeoutMs: 500 }),
  'a shutdown without patience': (pool) => pool.shutdown({ timeoutMs: 0 }),
  'a crash': (pool) => pool.send('exit', 0),
  'a crash of all': (pool) => pool.send('exit'),
  'a stuck worker': (pool) => pool.send({ spin: 200 }, 1),
}

/** Rejects with the names of those that are still pending after a long time. */
async function allSettle(promises: ReadonlyMap<string, Promise<unknown>>): Promise<void> {
  const pending = new Set(promises.keys())
  for (const [name, promise] of promises) {
    const settled = () => void pending.delete(name)
    promise.then(settled, settled)
  }
  try {
    await until(() => pending.size === 0)
  } catch {
    throw new Error(`These never settle: ${[...pending].join('; ')}`)
  }
}

for (const mode of MODES) {
  for (const [event, bring] of Object.entries(events)) {
    for (const first of ['the operations', 'the event'] as const) {
      test(`${mode}: ${first} first, with ${event}, everything settles`, async (t) => {
        const pool = makeReactorPool(t, { mode, module: ODD, size: 2 })
        const listener = await pool.listen(where)
        const handed = await pool.listen({ ...where, placement: 'least-connections' })
        await connectPeer(t, listener.port as number)
        await connectPeer(t, handed.port as number)
        const promises = new Map<string, Promise<unknown>>()
        if (first === 'the event') bring(pool)
        for (const [name, begin] of Object.entries(operations)) promises.set(name, begin(pool, listener))
        if (first === 'the operations') bring(pool)
        await allSettle(promises)
        await allSettle(new Map([['shutdown', pool.shutdown({ timeoutMs: 0 })]]))
        t.pass(event)
      })
    }
  }

  test(`${mode}: what meets the start of a pool settles`, async (t) => {
    for (const event of ['a shutdown', 'a shutdown without patience'] as const) {
      const pool = makeReactorPool(t, { mode, module: ODD, size: 2 })
      const promises = new Map<string, Promise<unknown>>()
      for (const name of ['ready', 'listen', 'listen by name', 'restart', 'broadcast', 'stats'] as const) {
        promises.set(name, operations[name]?.(pool, {} as PoolListener) as Promise<unknown>)
      }
      promises.set(event, events[event]?.(pool) as Promise<unknown>)
      await allSettle(promises)
    }
    t.pass('settled')
  })
}

const taskEvents: Record<string, (pool: WorkerPool, conn: Connection, controller: AbortController) => unknown> = {
  destroy: (_, conn) => conn.destroy(),
  reset: (_, conn) => conn.reset(),
  end: (_, conn) => conn.end(),
  abort: (_pool, _conn, controller) => controller.abort(),
  'a worker that exits': (pool) => void pool.run({ kind: 'exit' }).catch(() => {}),
  close: (pool) => pool.close(),
  'close by force': (pool) => pool.close({ force: true }),
  'close, and then by force': (pool) => {
    void pool.close()
    return pool.close({ force: true })
  },
}

for (const [event, bring] of Object.entries(taskEvents)) {
  test(`tasks that meet ${event} settle`, async (t) => {
    const conns: Connection[] = []
    const { port } = await serve<unknown>(t, { open: (conn) => void conns.push(conn) }, { framing: delimited('\n') })
    for (const moment of ['before', 'after', 'later'] as const) {
      const pool = makePool(t, { size: 2, maxQueue: 20, maxTasksPerConnection: 3 })
      conns.length = 0
      await connectPeer(t, port)
      await until(() => conns.length === 1)
      const [connection] = conns as [Connection]
      const controller = new AbortController()
      const promises = new Map<string, Promise<unknown>>()
      const run = (name: string, options: object) =>
        promises.set(name, pool.run({ kind: 'sleep', value: 20 }, { signal: controller.signal, ...options }))
      if (moment === 'before') bring(pool, connection, controller)
      for (let i = 0; i < 10; i++) {
        run(`alone ${i}`, {})
        run(`with a connection ${i}`, { connection })
        run(`in order ${i}`, { connection, ordered: true })
      }
      if (moment === 'later') await until(() => pool.stats().running > 0 || pool.stats().cancelled > 0)
      if (moment !== 'before') bring(pool, connection, controller)
      await allSettle(promises)
      await allSettle(new Map([['close', pool.close()]]))
      const { queued, running, heldConnections } = pool.stats()
      t.strictSame({ queued, running, heldConnections }, { queued: 0, running: 0, heldConnections: 0 }, moment)
      connection.destroy()
    }
  })
}
