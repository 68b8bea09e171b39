import { type Connection, Reactor } from 'c1m'
import { test } from 'tap'
import { loads } from '../../fixtures/move.js'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const COUNT = 42

for (const [trigger, ownFileTable] of [...TRIGGERS.map((each) => [each, false] as const), ['edge', true] as const]) {
  const where = `${trigger}${ownFileTable ? ', file tables of their own' : ''}`
  test(`rebalance() moves idle connections to the threads with the fewest, unchanged (${where})`, async (t) => {
    const conns: Connection<number>[] = []
    let closes = 0
    // All peers have one address, so all connections are on one thread.
    const { reactor, listener, port } = await serve<number>(
      t,
      {
        open: (conn) => void conns.push(conn),
        data: (conn, chunk) => void conn.write(chunk),
        close: () => void closes++,
      },
      { placement: 'source-hash' },
      { trigger, ioThreads: { count: 4, ownFileTable } },
    )
    const peers = await Promise.all(Array.from({ length: COUNT }, () => connectPeer(t, port)))
    await until(() => conns.length === COUNT)
    t.strictSame(
      loads(reactor).sort((a, b) => b - a),
      [COUNT, 0, 0, 0],
    )
    const room = reactor.createGroup<number>()
    for (const [i, conn] of conns.entries()) {
      conn.data = i
      if (i % 2 === 0) room.add(conn)
    }
    const known = conns.map((conn) => ({ id: conn.id, remotePort: conn.remotePort, localPort: conn.localPort }))

    t.equal(await reactor.rebalance({ idleMs: 0 }), COUNT - 11)
    t.strictSame(
      loads(reactor).sort((a, b) => b - a),
      [11, 11, 10, 10],
    )
    t.equal(reactor.stats().moved, COUNT - 11)
    t.equal(await reactor.rebalance({ idleMs: 0 }), 0, 'already balanced')
    t.strictSame(
      conns.map((conn) => ({ id: conn.id, remotePort: conn.remotePort, localPort: conn.localPort })),
      known,
    )
    t.ok(conns.every((conn) => reactor.connections.get(conn.id) === conn && reactor.connections.has(conn.id)))
    t.strictSame(new Set(reactor.connections.ids()), new Set(known.map(({ id }) => id)))
    t.equal(listener.connections, COUNT)
    t.equal(room.size, COUNT / 2)
    t.strictSame(new Set(room.ids()), new Set(conns.filter((_, i) => i % 2 === 0).map(({ id }) => id)))
    t.ok(conns.every((conn, i) => room.has(conn) === (i % 2 === 0)))

    t.strictSame(await room.broadcast('all;'), { reached: COUNT / 2, queued: 0, cut: 0 })
    for (const [i, peer] of peers.entries()) peer.write(`${i}`)
    await until(() => peers.every((peer, i) => peer.length >= `${i}`.length + (peer.text.startsWith('all;') ? 4 : 0)))
    const answered = new Map(peers.map((peer, i) => [peer.port, { i, text: peer.text }]))
    for (const conn of conns) {
      const { i, text } = answered.get(conn.remotePort as number) ?? {}
      t.equal(text, `${room.has(conn) ? 'all;' : ''}${i}`)
    }

    for (const peer of peers) peer.end()
    await until(() => closes === COUNT)
    t.equal(reactor.connections.size, 0)
    t.equal(room.size, 0)
    t.ok(known.every(({ id }) => reactor.connections.get(id) === undefined))
    await until(() => reactor.stats().closed === COUNT)
    t.equal(reactor.stats().accepted, COUNT)
    t.equal(listener.connections, 0)
  })
}

test('rebalance() moves no recently active connections, and none of a reactor with one thread', async (t) => {
  const { reactor, port } = await serve(t, {}, { placement: 'source-hash' }, { ioThreads: 2 })
  const peers = await Promise.all(Array.from({ length: 4 }, () => connectPeer(t, port)))
  await until(() => reactor.connections.size === 4)
  await peers[0]?.flush('hello')
  t.equal(await reactor.rebalance({ idleMs: 2 ** 31 - 1 }), 0)
  const one = await serve(t, {}, {}, { ioThreads: 1 })
  await connectPeer(t, one.port)
  await until(() => one.reactor.connections.size === 1)
  t.equal(await one.reactor.rebalance({ idleMs: 0 }), 0)
})

test('rebalance() moves connections of a closed listener, whose settings are released after them', async (t) => {
  const { reactor, listener, port } = await serve(t, {}, { placement: 'source-hash' }, { ioThreads: 2 })
  const peers = await Promise.all(Array.from({ length: 8 }, () => connectPeer(t, port)))
  await until(() => reactor.connections.size === 8)
  await listener.close()
  t.equal(await reactor.rebalance({ idleMs: 0 }), 4)
  t.equal(listener.connections, 8)
  for (const peer of peers) peer.end()
  await until(() => reactor.connections.size === 0)
  t.equal(listener.connections, 0)
  // The contexts have been released, and their numbers are used again.
  for (let round = 0; round < 3; round++) {
    const again = await serve(t, { data: (conn, chunk) => void conn.write(chunk) }, {}, reactor)
    const peer = await connectPeer(t, again.port)
    peer.write('hello')
    await peer.untilBytes(5)
    await again.listener.close()
    peer.end()
    await until(() => reactor.connections.size === 0)
  }
})

test('rebalance() with bad options, or after a shutdown, rejects', async (t) => {
  const reactor = new Reactor({ ioThreads: 2 })
  await t.rejects(reactor.rebalance({ idleMs: -1 }), { code: 'ERR_C1M_OUT_OF_RANGE' })
  await t.rejects(reactor.rebalance({ idle: 1 } as never), { code: 'ERR_C1M_INVALID_ARG_VALUE' })
  await reactor.shutdown()
  await t.rejects(reactor.rebalance(), { code: 'ERR_C1M_REACTOR_CLOSED' })
})
