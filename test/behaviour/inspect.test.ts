import { inspect } from 'node:util'
import { Connection, ConnectionMap, Listener } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../fixtures/peer.js'
import { serve, until } from '../fixtures/reactor.js'

test('console.log of what there is is a line each', async (t) => {
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

test('the classes are there for instanceof', async (t) => {
  const { reactor, listener, port } = await serve(t, {})
  await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  t.ok(listener instanceof Listener)
  t.ok(reactor.connections instanceof ConnectionMap)
  t.ok([...reactor.connections.values()][0] instanceof Connection)
})
