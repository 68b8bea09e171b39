import { type Connection, relay } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`relayed connections get no broadcasts, except those before the relay (${trigger})`, async (t) => {
    const conns: Connection[] = []
    const { reactor, port } = await serve<unknown>(t, { open: (conn) => void conns.push(conn) }, {}, { trigger })
    const one = await connectPeer(t, port)
    const two = await connectPeer(t, port)
    await until(() => conns.length === 2)
    const [a, b] = conns as [Connection, Connection]
    const group = reactor.createGroup()
    group.add(a)
    group.add(b)
    const before = group.broadcast('before;')
    const relayed = relay(a, b)
    one.write('to two;')
    await two.untilBytes('before;to two;'.length)
    // A connection that moves to the other's I/O thread takes unsent bytes along, which count as queued.
    const { reached, queued } = await before
    t.equal(reached + queued, 2)
    t.strictSame(await group.broadcast('during;'), { reached: 0, queued: 0, cut: 0 })
    two.write('to one;')
    await one.untilBytes('before;to one;'.length)
    one.end()
    two.end()
    await relayed
    await fence(reactor)
    t.equal(one.text, 'before;to one;')
    t.equal(two.text, 'before;to two;')
  })
}
