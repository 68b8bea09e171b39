import { Connection, type ConnectionId } from 'c1m'
import { type Test, test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { type Served, serve, until } from '../../fixtures/reactor.js'

async function openSome(t: Test, count: number): Promise<Served<undefined> & { readonly peers: Peer[] }> {
  const served = await serve(t, {}, {}, { maxConnections: 64 })
  const peers = await Promise.all(Array.from({ length: count }, () => connectPeer(t, served.port)))
  await until(() => served.reactor.connections.size === count)
  return { ...served, peers }
}

test('all views of the map have the open connections', async (t) => {
  const { connections } = (await openSome(t, 10)).reactor
  const ids = [...connections.ids()]
  t.equal(ids.length, 10)
  t.equal(new Set(ids).size, 10)
  t.ok(ids.every(Number.isSafeInteger))
  const values = [...connections.values()]
  t.ok(values.every((conn) => conn instanceof Connection))
  t.strictSame(
    values.map((conn) => conn.id),
    ids,
  )
  t.ok([...connections].every(([id, conn], at) => id === ids[at] && conn === values[at]))
  t.ok([...connections.entries()].every(([id, conn], at) => id === ids[at] && conn === values[at]))
  const visited: ConnectionId[] = []
  connections.forEach((conn, id, map) => {
    t.ok(conn.id === id && map === connections)
    visited.push(id)
  })
  t.strictSame(visited, ids)
  for (const id of ids) {
    t.equal(connections.has(id), true)
    t.equal(connections.get(id)?.id, id)
  }
})

test('get() returns the same object that the handlers get', async (t) => {
  const seen: unknown[] = []
  const { reactor, port } = await serve(t, {
    open: (conn) => void seen.push(conn, reactor.connections.get(conn.id)),
    data: (conn) => void seen.push(conn, reactor.connections.get(conn.id)),
    close: (conn) => void seen.push(conn, reactor.connections.get(conn.id)),
  })
  const peer = await connectPeer(t, port)
  peer.write('hello')
  peer.end()
  await until(() => seen.length === 6)
  t.equal(new Set(seen).size, 1)
  t.ok(seen[0] instanceof Connection)
})

test('the map has a connection in its close handler, but not after it', async (t) => {
  const facts: unknown[] = []
  const { reactor, port } = await serve(t, {
    close({ id }) {
      facts.push(reactor.connections.size, reactor.connections.has(id))
      queueMicrotask(() => facts.push(reactor.connections.size, reactor.connections.has(id)))
    },
  })
  const peer = await connectPeer(t, port)
  peer.end()
  await until(() => facts.length === 4)
  t.strictSame(facts, [1, true, 0, false])
})

test('ids are not used again, though slots are', async (t) => {
  const ids = new Set<ConnectionId>()
  const { reactor, port } = await serve(
    t,
    {
      open(conn) {
        if (ids.has(conn.id)) t.fail(`${conn.id} is used again`)
        ids.add(conn.id)
      },
    },
    {},
    { maxConnections: 2 },
  )
  const rounds = 100
  for (let round = 0; round < rounds; round++) {
    const peer = await connectPeer(t, port)
    await until(() => ids.size === round + 1)
    peer.end()
  }
  t.equal(ids.size, rounds)
  t.ok([...ids].every(Number.isSafeInteger))
  await until(() => reactor.connections.size === 0)
  for (const id of ids) {
    t.equal(reactor.connections.get(id), undefined)
    t.equal(reactor.connections.has(id), false)
  }
  t.strictSame([...reactor.connections.ids()], [])
})

test('connections may be closed during an iteration', async (t) => {
  const { reactor, peers } = await openSome(t, 20)
  let visited = 0
  for (const [, conn] of reactor.connections) {
    visited++
    conn.destroy()
  }
  t.equal(visited, 20)
  await until(() => reactor.connections.size === 0)
  await Promise.all(peers.map((peer) => peer.untilEnded()))
  t.strictSame([...reactor.connections], [])
})

test('each connection is found by its id', async (t) => {
  const { reactor, peers } = await openSome(t, 20)
  for (const id of reactor.connections.ids()) reactor.connections.get(id)?.end(`you are ${id}`)
  await Promise.all(peers.map((peer) => peer.untilEnded()))
  t.equal(new Set(peers.map((peer) => peer.text)).size, 20)
  t.ok(peers.every((peer) => peer.text.startsWith('you are ')))
})

test('a listener counts its connections', async (t) => {
  const { reactor, listener, port } = await serve(t, {})
  const other = await serve(t, {}, {}, reactor)
  const peers = [await connectPeer(t, port), await connectPeer(t, port), await connectPeer(t, other.port)]
  await until(() => reactor.connections.size === 3)
  t.equal(listener.connections, 2)
  t.equal(other.listener.connections, 1)
  await listener.close()
  t.equal(listener.connections, 2)
  peers[0]?.end()
  await until(() => listener.connections === 1)
  peers[1]?.end()
  await until(() => reactor.connections.size === 1)
  t.equal(listener.connections, 0)
  for (const conn of reactor.connections.values()) t.equal(conn.listener, other.listener)
})
