import type { Connection } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, makeReactor, serve, until } from '../../fixtures/reactor.js'

test('connections.broadcast() sends to all connections, or to those that a filter accepts', async (t) => {
  const reactor = makeReactor(t)
  const one = await serve<{ name: string }>(t, {}, {}, reactor)
  const two = await serve<{ name: string }>(t, {}, {}, reactor)
  const peers = [
    await connectPeer(t, one.port),
    await connectPeer(t, one.port),
    await connectPeer(t, two.port),
  ] as const
  await until(() => reactor.connections.size === 3)

  t.strictSame(await reactor.connections.broadcast('all;'), { reached: 3, queued: 0, cut: 0 })
  const large = Buffer.alloc(100_000, 'x')
  t.strictSame(await reactor.connections.broadcast(large, (conn) => conn.listener === one.listener), {
    reached: 2,
    queued: 0,
    cut: 0,
  })
  const seen = new Set<Connection>()
  t.strictSame(
    await reactor.connections.broadcast('nobody', (conn) => {
      seen.add(conn)
      return false
    }),
    { reached: 0, queued: 0, cut: 0 },
  )
  t.strictSame(seen, new Set(reactor.connections.values()))
  await peers[0].untilBytes(4 + large.length)
  await peers[1].untilBytes(4 + large.length)
  await peers[2].untilBytes(4)
  await fence(reactor)
  t.strictSame(
    peers.map((peer) => peer.length),
    [4 + large.length, 4 + large.length, 4],
  )
})

test('a broadcast without a connection resolves with zeros', async (t) => {
  const reactor = makeReactor(t)
  const nobody = { reached: 0, queued: 0, cut: 0 }
  t.strictSame(await reactor.connections.broadcast('hello'), nobody)
  t.strictSame(await reactor.createGroup().broadcast('hello'), nobody)
})

test('connections.broadcast() with bad arguments rejects, and sends nothing', async (t) => {
  const { reactor, port } = await serve(t, {})
  const peer = await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  const { connections } = reactor
  await t.rejects(connections.broadcast(1 as unknown as string), {
    name: 'TypeError',
    code: 'ERR_C1M_INVALID_ARG_TYPE',
  })
  await t.rejects(connections.broadcast('x', 1 as unknown as () => boolean), { code: 'ERR_C1M_INVALID_ARG_TYPE' })
  const thrown = new Error('thrown')
  await t.rejects(
    connections.broadcast('x', () => {
      throw thrown
    }),
    thrown,
  )
  await fence(reactor)
  t.equal(peer.length, 0)
})
