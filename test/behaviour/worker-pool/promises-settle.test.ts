import { type Connection, delimited, type WorkerPool } from 'c1m'
import { test } from 'tap'
import { allSettle } from '../../fixtures/all-settle.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makePool } from '../../fixtures/pool.js'
import { serve, until } from '../../fixtures/reactor.js'

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
  test(`tasks settle with ${event} at the same time`, async (t) => {
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
