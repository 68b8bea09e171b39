import type { Placement, Saturated } from 'c1m'
import { test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { fence, serve, until } from '../../fixtures/reactor.js'

const THREADS = 4
const MAX = 32

const greeter = {
  open(conn: { write(text: string): boolean }) {
    conn.write('hi')
  },
}
const greeted = (peers: readonly Peer[]) => peers.filter((peer) => peer.length === 2).length

for (const placement of ['least-connections', 'reuse-port'] as const satisfies readonly Placement[]) {
  test(`maxConnections is for all threads: a close on one frees a slot for another (${placement})`, async (t) => {
    const options = { maxConnections: MAX, ioThreads: THREADS }
    const { reactor, port } = await serve(t, greeter, { placement }, options)
    const saturated: Saturated[] = []
    reactor.on('saturated', (event) => saturated.push(event))
    const peers = await Promise.all(Array.from({ length: 3 * MAX }, () => connectPeer(t, port)))
    await until(() => greeted(peers) >= MAX)
    await fence(reactor)
    // Threads that accept at the same time may exceed it by one each.
    const max = placement === 'reuse-port' ? MAX + THREADS - 1 : MAX
    const count = reactor.connections.size
    t.ok(count >= MAX && count <= max, `${count} connections`)
    await until(() => saturated.length > 0)
    t.match(saturated[0], { code: 'ERR_C1M_MAX_CONNECTIONS' })
    // Each round closes connections, also of threads that don't accept.
    while (greeted(peers) < peers.length) {
      const before = greeted(peers)
      for (const peer of peers) if (peer.length === 2) peer.end()
      await until(() => greeted(peers) > before, 'a client that waited')
      t.ok(reactor.connections.size <= max)
    }
    for (const peer of peers) peer.end()
    await until(() => reactor.connections.size === 0)
    t.equal(reactor.stats().accepted, peers.length)
  })
}

test('a slot freed on a thread that does not accept is used again', async (t) => {
  const { reactor, port } = await serve(t, { open() {} }, {}, { maxConnections: 4, ioThreads: THREADS })
  for (let i = 0; i < 6; i++) await connectPeer(t, port)
  await until(() => reactor.connections.size === 4)
  await fence(reactor)
  t.strictSame(
    reactor.stats().ioThreads.map(({ connections }) => connections),
    [1, 1, 1, 1],
  )
  const onLastThread = [...reactor.connections.values()].find(({ id }) => Math.floor((id % 2 ** 30) / 2 ** 24) === 3)
  onLastThread?.destroy()
  await until(() => reactor.stats().accepted === 5)
  await until(() => reactor.connections.size === 4)
})
