import type { PoolListener, ReactorPool } from 'c1m'
import { test } from 'tap'
import { allSettle } from '../../fixtures/all-settle.js'
import { connectPeer } from '../../fixtures/peer.js'
import { MODES, makeReactorPool, ODD_WORKERS } from '../../fixtures/reactor-pool.js'

const where = { host: '127.0.0.1', port: 0 } as const

/** Operations that overlap. Each of their promises must settle, with any outcome. */
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
  'an immediate shutdown': (pool) => pool.shutdown({ timeoutMs: 0 }),
  'a crash': (pool) => pool.send('exit', 0),
  'a crash of all': (pool) => pool.send('exit'),
  'a stuck worker': (pool) => pool.send({ spin: 200 }, 1),
}

for (const mode of MODES) {
  for (const [event, cause] of Object.entries(events)) {
    for (const first of ['the operations', 'the event'] as const) {
      test(`${mode}: operations settle with ${event}, ${first} first`, async (t) => {
        const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 2 })
        const listener = await pool.listen(where)
        const handed = await pool.listen({ ...where, placement: 'least-connections' })
        await connectPeer(t, listener.port as number)
        await connectPeer(t, handed.port as number)
        const promises = new Map<string, Promise<unknown>>()
        if (first === 'the event') cause(pool)
        for (const [name, begin] of Object.entries(operations)) promises.set(name, begin(pool, listener))
        if (first === 'the operations') cause(pool)
        await allSettle(promises)
        await allSettle(new Map([['shutdown', pool.shutdown({ timeoutMs: 0 })]]))
        t.pass(event)
      })
    }
  }

  test(`${mode}: operations during the start of a pool settle`, async (t) => {
    for (const event of ['a shutdown', 'an immediate shutdown'] as const) {
      const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 2 })
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
