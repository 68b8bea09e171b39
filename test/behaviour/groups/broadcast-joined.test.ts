import type { BroadcastResult, Connection } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

for (const ioThreads of [1, 3]) {
  test(`broadcasts one right after the other are one, in order with all else (${ioThreads} I/O threads)`, async (t) => {
    const reactor = makeReactor(t, { ioThreads })
    const conns: Connection[] = []
    const { port } = await serve<unknown>(t, { open: (conn) => void conns.push(conn) }, {}, reactor)
    const peers = await Promise.all(Array.from({ length: 7 }, () => connectPeer(t, port)))
    await until(() => conns.length === 7)
    const room = reactor.createGroup()
    for (const conn of conns.slice(0, 6)) room.add(conn)
    const [first, second] = conns as [Connection, Connection]
    const expected = new Map(conns.map((conn) => [conn.remotePort, '']))
    const say = (text: string, to: readonly Connection[]) => {
      for (const { remotePort } of to) expected.set(remotePort, expected.get(remotePort) + text)
    }
    const tell = (text: string, to: Iterable<Connection>, except?: Connection) => {
      say(
        text,
        [...to].filter((conn) => conn !== except),
      )
      return room.broadcast(text, { except })
    }

    const joined = Array.from({ length: 1000 }, (_, i) => tell(`${i};`, room))
    first.write('w1;')
    say('w1;', [first])
    const afterWrite = tell('after a write;', room)
    const without = tell('without the first;', room, first)
    const withoutAgain = tell('the same;', room, first)
    second.write('w2;')
    say('w2;', [second])
    room.add(conns[6] as Connection)
    const seven = tell('for seven;', room)
    room.delete(second)
    const six = tell('for six;', room)
    // Too much to be joined, and sent from where it lies.
    const large = 'L'.repeat(20_000)
    const two = [tell(large, room), tell(large, room)]
    const empty = tell('', room)

    // A socket that takes nothing for once has it queued.
    const told = async (result: Promise<BroadcastResult>) => {
      const { reached, queued, cut } = await result
      return cut === 0 ? reached + queued : -1
    }
    t.strictSame(await Promise.all(joined.map(told)), Array(1000).fill(6))
    t.strictSame(
      await Promise.all([afterWrite, without, withoutAgain, seven, six, ...two, empty].map(told)),
      [6, 5, 5, 7, 6, 6, 6, 6],
    )
    await until(() => peers.every((peer) => peer.length === expected.get(peer.port)?.length))
    t.strictSame(new Map(peers.map((peer) => [peer.port, peer.text])), expected)
  })
}

test('all connections are told as one as well, until others are there', async (t) => {
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
