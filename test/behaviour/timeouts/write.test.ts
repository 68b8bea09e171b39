import { setTimeout as sleep } from 'node:timers/promises'
import { t as tap, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

// Each test mostly waits for a time to pass.
tap.jobs = 4

for (const trigger of TRIGGERS) {
  test(`the write timeout fires for a peer that sends but doesn't read (${trigger})`, async (t) => {
    const codes: unknown[] = []
    const { port } = await serve(
      t,
      {
        open(conn) {
          conn.write(Buffer.alloc(15 * 1024 * 1024))
        },
        close: (_conn, error) => void codes.push(error?.code),
      },
      { writeTimeoutMs: 300, idleTimeoutMs: 60_000 },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.socket.pause()
    const ticker = setInterval(() => peer.write('x'), 20)
    t.teardown(() => clearInterval(ticker))
    await until(() => codes.length === 1)
    t.strictSame(codes, ['ERR_C1M_WRITE_TIMEOUT'])
  })

  test(`the write timeout doesn't fire for a peer that reads, or without queued bytes (${trigger})`, async (t) => {
    const kinds: string[] = []
    const { reactor, port } = await serve(
      t,
      {
        data(conn, chunk) {
          conn.write(chunk)
        },
        timeout: (_conn, kind) => void kinds.push(kind),
      },
      { writeTimeoutMs: 50 },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await sleep(200)
    peer.write(Buffer.alloc(1_000_000))
    await peer.untilBytes(1_000_000)
    await sleep(200)
    t.strictSame(kinds, [])
    t.equal(reactor.connections.size, 1)
  })
}
