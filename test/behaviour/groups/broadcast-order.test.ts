import type { BroadcastResult, Connection } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const MEMBERS = 600

for (const trigger of TRIGGERS) {
  test(`a broadcast is in order with the writes of each connection before and after it (${trigger})`, async (t) => {
    const conns: Connection[] = []
    const { reactor, port } = await serve<unknown>(t, { open: (conn) => void conns.push(conn) }, {}, { trigger })
    const peers = await Promise.all(Array.from({ length: MEMBERS }, () => connectPeer(t, port)))
    await until(() => conns.length === MEMBERS)
    const all = reactor.createGroup()
    const odd = reactor.createGroup()
    const expected = new Map<number | undefined, string>()
    const add = (conn: Connection, text: string) =>
      expected.set(conn.remotePort, (expected.get(conn.remotePort) ?? '') + text)

    for (const [i, conn] of conns.entries()) {
      all.add(conn)
      if (i % 2 === 1) odd.add(conn)
      conn.write(`before ${i};`)
      add(conn, `before ${i};`)
    }
    const results: Promise<BroadcastResult>[] = []
    results.push(all.broadcast('to all;'))
    for (const conn of conns) add(conn, 'to all;')
    results.push(odd.broadcast('to the odd;'))
    for (const [i, conn] of conns.entries()) {
      if (i % 2 === 1) add(conn, 'to the odd;')
      if (i % 3 === 0) {
        conn.write(`after ${i};`)
        add(conn, `after ${i};`)
      }
    }
    // The next broadcast comes while the first ones are being sent.
    await new Promise(setImmediate)
    results.push(all.broadcast('again;'))
    for (const conn of conns) {
      add(conn, 'again;')
      conn.end('the end')
      add(conn, 'the end')
    }
    // A socket that is full for a moment counts as queued.
    t.strictSame(
      (await Promise.all(results)).map(({ reached, queued, cut }) => [reached + queued, cut]),
      [
        [MEMBERS, 0],
        [MEMBERS / 2, 0],
        [MEMBERS, 0],
      ],
    )
    await Promise.all(peers.map((peer) => peer.untilEnded()))
    t.strictSame(new Map(peers.map((peer) => [peer.port, peer.text])), expected)
  })
}
