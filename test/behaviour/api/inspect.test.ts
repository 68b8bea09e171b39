import { inspect } from 'node:util'
import { Connection, ConnectionMap, Group, Listener, PoolListener, RemoteConnection, Watch, WorkerContext } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, until } from '../../fixtures/reactor.js'

test('inspect() shows each object in one line', async (t) => {
  const { reactor, listener, port } = await serve(t, {})
  await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  t.equal(inspect(reactor), 'Reactor 1 connections, 1 listeners')
  t.equal(inspect(reactor.connections), 'ConnectionMap(1)')
  t.equal(inspect(listener), `Listener 127.0.0.1 ${port}, 1 connections`)
  const [conn] = reactor.connections.values()
  t.match(inspect(conn), /^Connection \d+ 127\.0\.0\.1 \d+$/)
  await listener.close()
  t.match(inspect(listener), /, closed$/)
  await reactor.shutdown({ timeoutMs: 0 })
  t.equal(inspect(reactor), 'Reactor 0 connections, 0 listeners, shut down')
})

test('objects are instances of the exported classes', async (t) => {
  const { reactor, listener, port } = await serve(t, {})
  await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  t.ok(listener instanceof Listener)
  t.ok(reactor.connections instanceof ConnectionMap)
  t.ok([...reactor.connections.values()][0] instanceof Connection)
})

test('JSON.stringify() shows public properties only', async (t) => {
  const { reactor, listener, port } = await serve(t, {})
  const peer = await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  const conn = [...reactor.connections.values()][0] as Connection
  const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
  const { localPort } = peer.socket
  t.strictSame(json(conn), { id: conn.id, remoteAddress: '127.0.0.1', remotePort: localPort, closed: false })
  const shown = { address: { address: '127.0.0.1', family: 'IPv4', port }, connections: 1, closed: false }
  t.strictSame(json(listener), shown)
  t.strictSame(json(reactor), { connections: 1, listeners: [shown], closed: false })
  t.strictSame(json(reactor.createGroup()), { size: 0 })
  t.strictSame(json(reactor.connections), { size: 1 })
})

test('structuredClone() refuses objects of c1m, because a copy could do nothing', async (t) => {
  const { reactor, listener, port } = await serve(t, {})
  await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  const [conn] = reactor.connections.values()
  for (const one of [reactor, listener, reactor.connections, reactor.createGroup(), conn]) {
    t.throws(() => structuredClone(one), { name: 'DataCloneError' })
  }
})

test('constructors of objects that only c1m makes throw', (t) => {
  for (const [made, by] of [
    [Connection, /listen\(\), connect\(\) or adopt\(\)/],
    [ConnectionMap, /Reactor/],
    [Group, /createGroup\(\)/],
    [Listener, /listen\(\)/],
    [PoolListener, /pool\.listen\(\)/],
    [RemoteConnection, /WorkerPool/],
    [Watch, /watch\(\)/],
    [WorkerContext, /ReactorPool/],
  ] as const) {
    t.throws(() => Reflect.construct(made, []), { code: 'ERR_C1M_INVALID_ARG_VALUE', message: by })
  }
  t.end()
})
