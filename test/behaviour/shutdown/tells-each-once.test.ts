import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { block, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`the shutdown handler is called once for each connection, even while some are moved (${trigger})`, async (t) => {
    const CONNECTIONS = 400
    const calls = new Map<number, number>()
    const { reactor, port } = await serve(
      t,
      {
        // Slow, so that calling all handlers takes many turns.
        shutdown(conn) {
          calls.set(conn.id, (calls.get(conn.id) ?? 0) + 1)
          block(1)
        },
      },
      { placement: 'source-hash' },
      { trigger, ioThreads: 2 },
    )
    // All connections have a source of the last thread, so that they move to a thread that the shutdown has already
    // passed.
    let source = 1
    do {
      const peer = await connectPeer(t, port, { localAddress: `127.0.0.${++source}` })
      await until(() => reactor.connections.size === 1)
      if (reactor.stats().ioThreads[1]?.connections === 1) break
      peer.end()
      await until(() => reactor.connections.size === 0)
    } while (source < 250)
    const localAddress = `127.0.0.${source}`
    await Promise.all(Array.from({ length: CONNECTIONS - 1 }, () => connectPeer(t, port, { localAddress })))
    await until(() => reactor.connections.size === CONNECTIONS)
    const ids = [...reactor.connections.ids()]
    const moved = reactor.rebalance({ idleMs: 0 })
    const down = reactor.shutdown({ timeoutMs: 30_000 })
    await until(() => calls.size === CONNECTIONS)
    t.strictSame(
      ids.filter((id) => calls.get(id) !== 1),
      [],
    )
    for (const conn of [...reactor.connections.values()]) conn.destroy()
    t.strictSame(await down, { drained: CONNECTIONS, cut: 0 })
    t.ok((await moved) < CONNECTIONS / 2)
  })
}
