import { type Connection, relay } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`a relay that starts during the replay of buffered data passes on each byte once (${trigger})`, async (t) => {
    const conns: Connection[] = []
    const log: string[] = []
    const { port, reactor } = await serve<unknown>(
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
    for (const text of ['one ', 'two ', 'three ', 'four ']) a.writeAndBlock(text, reactor)
    await until(() => log.length > 0)
    await fence(reactor)
    t.strictSame(log, ['one '])
    conns[0]?.resume()
    await until(() => log.length > 1)
    await a.flush('five')
    await until(() => log.join('').length + b.length >= 23)
    await fence(reactor)
    t.equal(log.join('') + b.text, 'one two three four five')
    a.end()
    b.end()
    await a.untilClosed()
  })
}
