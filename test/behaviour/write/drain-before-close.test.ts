import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`drain is delivered before a regular close that follows immediately (${trigger})`, async (t) => {
    const log: string[] = []
    const { port } = await serve(
      t,
      {
        data: (conn) => void log.push(`write ${conn.write(Buffer.alloc(6 * 1024 * 1024))}`),
        end: () => void log.push('end'),
        drain: () => void log.push('drain'),
        close: (_conn, error) => void log.push(`close ${error?.code}`),
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.socket.pause()
    // The peer's FIN comes before the peer reads.
    peer.end('x')
    await until(() => log.includes('end'))
    peer.socket.resume()
    await until(() => log.length === 4)
    t.strictSame(log, ['write false', 'end', 'drain', 'close undefined'])
  })
}
