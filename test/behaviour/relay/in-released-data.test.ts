import { type Connection, relay } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { block, serve, settle, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`a relay that begins while held data is let go: each byte comes once (${trigger})`, async (t) => {
    const conns: Connection[] = []
    const log: string[] = []
    const { port } = await serve<unknown>(
      t,
      {
        open: (conn) => void conns.push(conn),
        data(conn, chunk) {
          log.push(chunk.toString())
          if (log.length === 1) conn.pause()
          if (log.length === 2) void relay(conns[0] as Connection, conns[1] as Connection)
        },
      },
      { allowHalfOpen: true },
      { trigger },
    )
    const a = await connectPeer(t, port)
    await until(() => conns.length === 1)
    const b = await connectPeer(t, port)
    await until(() => conns.length === 2)
    for (const text of ['one ', 'two ', 'three ', 'four ']) {
      a.write(text)
      block(15)
    }
    await until(() => log.length > 0)
    await settle()
    t.strictSame(log, ['one '])
    conns[0]?.resume()
    await until(() => log.length > 1)
    await a.flush('five')
    await b.untilBytes(13)
    await settle()
    t.equal(log.join('') + b.text, 'one two three four five')
    a.end()
    b.end()
    await a.untilClosed()
  })
}
