import { t as tap, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

// Each test mostly waits for a time to pass.
tap.jobs = 4

for (const trigger of TRIGGERS) {
  test(`the total timeout fires for a busy connection as well (${trigger})`, async (t) => {
    const codes: unknown[] = []
    let received = 0
    const { port } = await serve(
      t,
      {
        data(conn, chunk) {
          received += chunk.length
          conn.write(chunk)
        },
        close: (_conn, error) => void codes.push(error?.code),
      },
      { totalTimeoutMs: 400, idleTimeoutMs: 60_000 },
      { trigger },
    )
    const start = performance.now()
    const peer = await connectPeer(t, port)
    const ticker = setInterval(() => peer.closed || peer.write('x'), 5)
    t.teardown(() => clearInterval(ticker))
    await until(() => codes.length === 1)
    t.ok(performance.now() - start >= 395, 'the timeout is not early')
    t.strictSame(codes, ['ERR_C1M_CONNECTION_TIMEOUT'])
    t.ok(received > 0)
  })

  test(`a timeout handler may end the connection gracefully after the total timeout (${trigger})`, async (t) => {
    const log: unknown[] = []
    const { port } = await serve(
      t,
      {
        timeout(conn, kind) {
          log.push(kind)
          conn.end('come again')
        },
        close: (_conn, error) => void log.push(error),
      },
      { totalTimeoutMs: 100 },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.socket.on('end', () => peer.end())
    await until(() => log.length === 2)
    t.strictSame(log, ['total', undefined])
    t.equal(peer.text, 'come again')
  })
}
