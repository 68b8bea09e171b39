import type { Connection, Reactor, Saturated } from 'c1m'
import { test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { fence, makeReactor, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const greeter = {
  open(conn: Connection<undefined>) {
    conn.write('hi')
  },
}

function noteSaturated(reactor: Reactor): Saturated[] {
  const events: Saturated[] = []
  reactor.on('saturated', (event) => events.push(event))
  return events
}

const greeted = (peers: readonly Peer[]) => peers.filter((peer) => peer.length === 2).length
const failed = (peers: readonly Peer[]) => peers.filter((peer) => peer.closed || peer.error !== undefined).length

for (const trigger of TRIGGERS) {
  test(`clients beyond maxConnections wait, and are served when slots are free (${trigger})`, async (t) => {
    const { reactor, listener, port } = await serve(t, greeter, {}, { maxConnections: 4, trigger })
    const saturated = noteSaturated(reactor)
    const peers: Peer[] = []
    for (let i = 0; i < 12; i++) peers.push(await connectPeer(t, port))
    await until(() => greeted(peers) === 4 && saturated.length > 0)
    await fence(reactor)
    t.equal(greeted(peers), 4)
    t.equal(failed(peers), 0, 'no client was refused')
    t.equal(reactor.connections.size, 4)
    t.match(saturated, [{ code: 'ERR_C1M_MAX_CONNECTIONS' }])
    t.equal(saturated[0]?.listener, listener)

    for (let gone = 0; gone < 12; gone++) {
      t.ok(reactor.connections.size <= 4)
      const served = Math.min(4 + gone + 1, 12)
      peers[gone]?.end()
      await until(() => greeted(peers) === served, `client ${served}`)
    }
    await until(() => reactor.connections.size === 0)
    const { accepted, closed, shed } = reactor.stats()
    t.match({ accepted, shed }, { accepted: 12, shed: 0 })
    t.ok(closed <= 12)
  })

  test(`with maxConnections 1 clients are served one after the other (${trigger})`, async (t) => {
    const { reactor, port } = await serve(t, greeter, {}, { maxConnections: 1, trigger })
    const peers = await Promise.all(Array.from({ length: 5 }, () => connectPeer(t, port)))
    let last = 0
    while (greeted(peers) < 5) {
      await until(() => greeted(peers) > last)
      last++
      t.equal(greeted(peers), last)
      t.equal(reactor.connections.size, 1)
      peers.find((peer) => peer.length === 2 && !peer.socket.writableEnded)?.end()
    }
    t.equal(last, 5)
    t.equal(failed(peers.filter((peer) => !peer.ended)), 0)
  })

  test(`accepting resumes at the limit when 1/32 of the slots are free, not before (${trigger})`, async (t) => {
    const maxConnections = 128
    const { reactor, port } = await serve(t, greeter, {}, { maxConnections, trigger })
    const saturated = noteSaturated(reactor)
    const peers = await Promise.all(Array.from({ length: maxConnections + 8 }, () => connectPeer(t, port)))
    await until(() => greeted(peers) === maxConnections)
    const served = peers.filter((peer) => peer.length === 2)
    for (const peer of served.slice(0, 3)) peer.end()
    await until(() => reactor.connections.size === maxConnections - 3)
    await fence(reactor)
    t.equal(greeted(peers), maxConnections, 'three free slots are not enough')
    t.equal(saturated.length, 1)
    served[3]?.end()
    await until(() => greeted(peers) === maxConnections + 4, 'four free slots are enough')
    await until(() => saturated.length === 2)
    t.equal(reactor.stats().saturations, 2)
    t.equal(failed(peers.filter((peer) => !peer.ended)), 0)
  })
}

test('maxConnections applies to all listeners of a reactor together', async (t) => {
  const reactor = makeReactor(t, { maxConnections: 2 })
  const one = await serve(t, greeter, {}, reactor)
  const other = await serve(t, greeter, {}, reactor)
  const peers = [
    await connectPeer(t, one.port),
    await connectPeer(t, other.port),
    await connectPeer(t, one.port),
    await connectPeer(t, other.port),
  ]
  await until(() => greeted(peers) === 2)
  await fence(reactor)
  t.equal(greeted(peers), 2)
  t.equal(one.listener.connections + other.listener.connections, 2)
  const [first, second] = peers.filter((peer) => peer.length === 2)
  first?.end()
  second?.end()
  await until(() => greeted(peers) === 4)
})

test('a listener at the limit can be closed, and frees its port', async (t) => {
  const { listener, port, reactor } = await serve(t, greeter, {}, { maxConnections: 1 })
  const first = await connectPeer(t, port)
  const second = await connectPeer(t, port)
  await until(() => first.length === 2)
  await listener.close()
  await second.untilClosed()
  t.equal(second.error?.code, 'ECONNRESET', 'the kernel resets a client in its queue')
  first.end()
  await until(() => reactor.connections.size === 0)
  const again = await reactor.listen({ host: '127.0.0.1', port }, greeter)
  const third = await connectPeer(t, port)
  await until(() => third.length === 2)
  t.equal(again.connections, 1)
})
