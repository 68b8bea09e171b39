import type { BroadcastResult, Connection } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

for (const ioThreads of [1, 3]) {
  test(`consecutive broadcasts are joined, and in order with writes (${ioThreads} I/O threads)`, async (t) => {
    const reactor = makeReactor(t, { ioThreads })
    const conns: Connection[] = []
    const { port } = await serve<unknown>(t, { open: (conn) => void conns.push(conn) }, {}, reactor)
    const peers = await Promise.all(Array.from({ length: 7 }, () => connectPeer(t, port)))
    await until(() => conns.length === 7)
    const room = reactor.createGroup()
    for (const conn of conns.slice(0, 6)) room.add(conn)
    const [first, second] = conns as [Connection, Connection]
    const expected = new Map(conns.map((conn) => [conn.remotePort, '']))
    const expect = (text: string, to: readonly Connection[]) => {
      for (const { remotePort } of to) expected.set(remotePort, expected.get(remotePort) + text)
    }
    const broadcast = (text: string, to: Iterable<Connection>, except?: Connection) => {
      expect(
        text,
        [...to].filter((conn) => conn !== except),
      )
      return room.broadcast(text, { except })
    }

    const joined = Array.from({ length: 1000 }, (_, i) => broadcast(`${i};`, room))
    first.write('w1;')
    expect('w1;', [first])
    const afterWrite = broadcast('after a write;', room)
    const without = broadcast('without the first;', room, first)
    const withoutAgain = broadcast('the same;', room, first)
    second.write('w2;')
    expect('w2;', [second])
    room.add(conns[6] as Connection)
    const seven = broadcast('for seven;', room)
    room.delete(second)
    const six = broadcast('for six;', room)
    // Too large to be joined: it is sent from the caller's memory.
    const large = 'L'.repeat(20_000)
    const two = [broadcast(large, room), broadcast(large, room)]
    const empty = broadcast('', room)

    // A socket that is full for a moment counts as queued.
    const countReached = async (result: Promise<BroadcastResult>) => {
      const { reached, queued, cut } = await result
      return cut === 0 ? reached + queued : -1
    }
    t.strictSame(await Promise.all(joined.map(countReached)), Array(1000).fill(6))
    t.strictSame(
      await Promise.all([afterWrite, without, withoutAgain, seven, six, ...two, empty].map(countReached)),
      [6, 5, 5, 7, 6, 6, 6, 6],
    )
    await until(() => peers.every((peer) => peer.length === expected.get(peer.port)?.length))
    t.strictSame(new Map(peers.map((peer) => [peer.port, peer.text])), expected)
  })
}

test('broadcasts to all connections are joined as well, until a connection opens', async (t) => {
  const conns: Connection[] = []
  const { reactor, port } = await serve<unknown>(t, { open: (conn) => void conns.push(conn) })
  const peer = await connectPeer(t, port)
  await until(() => conns.length === 1)
  const both = [reactor.connections.broadcast('a'), reactor.connections.broadcast('b')]
  t.strictSame(await Promise.all(both), Array(2).fill({ reached: 1, queued: 0, cut: 0 }))
  t.equal(both[0], both[1])
  await connectPeer(t, port)
  await until(() => conns.length === 2)
  t.strictSame(await reactor.connections.broadcast('c'), { reached: 2, queued: 0, cut: 0 })
  await until(() => peer.text === 'abc')
})
