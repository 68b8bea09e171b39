import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

test('the counters of a new reactor are 0', async (t) => {
  const { ioThreads, turns, ...counters } = makeReactor(t, { ioThreads: 1 }).stats()
  t.strictSame(counters, {
    connections: 0,
    accepted: 0,
    adopted: 0,
    connected: 0,
    closed: 0,
    moved: 0,
    acceptErrors: 0,
    shed: 0,
    saturations: 0,
    reads: 0,
    bytesRead: 0,
    writes: 0,
    bytesWritten: 0,
    batches: 0,
    jsWakeups: 0,
    queueBytes: 0,
    relays: 0,
    bytesRelayed: 0,
    relayPipes: 0,
  })
  t.ok(turns >= 0)
  t.equal(ioThreads.length, 1)
  t.match(ioThreads[0]?.name, /^c1m-io-\d+\.0$/)
})

test('connections and bytes are counted', async (t) => {
  const { reactor, port } = await serve(t, {
    data(conn, chunk) {
      conn.write(chunk)
    },
  })
  const peers = [await connectPeer(t, port), await connectPeer(t, port), await connectPeer(t, port)]
  await until(() => reactor.stats().connections === 3)
  const bytes = 300_000
  for (const peer of peers) peer.write(Buffer.alloc(bytes))
  await Promise.all(peers.map((peer) => peer.untilBytes(bytes)))
  peers[0]?.end()
  await until(() => reactor.stats().connections === 2)
  // A slot is free when the batch with its close has come back.
  await until(() => reactor.stats().closed === 1)
  const stats = reactor.stats()
  t.match(stats, { accepted: 3, bytesRead: 3 * bytes, bytesWritten: 3 * bytes })
  t.match(stats, { shed: 0, acceptErrors: 0, saturations: 0 })
  t.ok(stats.reads >= 4 && stats.reads <= 3 * bytes)
  t.ok(stats.writes >= 4)
  t.ok(stats.batches > 0 && stats.turns > 0 && stats.jsWakeups > 0)
  t.ok((stats.ioThreads[0]?.cpuMicros ?? 0) > 0)
})

test('queued bytes are counted until they are sent', async (t) => {
  const { reactor, port } = await serve(
    t,
    {
      data(conn) {
        // Small chunks, because larger ones are sent from the caller's memory, which isn't counted.
        for (let i = 0; i < 1000; i++) conn.write(Buffer.alloc(8192))
      },
    },
    { sendBufferBytes: 65_536 },
  )
  const peer = await connectPeer(t, port)
  peer.socket.pause()
  peer.write('go')
  await until(() => reactor.stats().queueBytes > 1_000_000, 'queueBytes to rise')
  const { queueBytes } = reactor.stats()
  t.ok(queueBytes <= 8_192_000 + 4096, `${queueBytes} bytes`)
  peer.socket.resume()
  await peer.untilBytes(8_192_000)
  await until(() => reactor.stats().queueBytes === 0, 'queueBytes to fall')
})

test('counters stay readable after shutdown', async (t) => {
  const { reactor, port } = await serve(t, {})
  await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  await reactor.shutdown({ timeoutMs: 0 })
  t.match(reactor.stats(), { accepted: 1, connections: 0 })
})
