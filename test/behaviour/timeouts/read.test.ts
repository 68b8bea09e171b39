import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from 'c1m'
import { t as tap, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

// Each test mostly waits for a time to pass.
tap.jobs = 4

for (const trigger of TRIGGERS) {
  test(`the read timeout fires for a peer that sends nothing (${trigger})`, async (t) => {
    const codes: unknown[] = []
    const { port } = await serve(
      t,
      {
        open(conn) {
          const ticker = setInterval(() => conn.closed || conn.write('tick '), 20)
          t.teardown(() => clearInterval(ticker))
        },
        close: (_conn, error) => void codes.push(error?.code),
      },
      { readTimeoutMs: 300, idleTimeoutMs: 60_000 },
      { trigger },
    )
    const start = performance.now()
    const peer = await connectPeer(t, port)
    await until(() => codes.length === 1)
    t.ok(performance.now() - start >= 300)
    t.strictSame(codes, ['ERR_C1M_READ_TIMEOUT'])
    await peer.untilEnded()
    t.match(peer.text, /^tick /)
  })

  test(`the read timeout doesn't run in a pause (${trigger})`, async (t) => {
    const kinds: string[] = []
    let connection: Connection<undefined> | undefined
    const { port } = await serve(
      t,
      {
        open(conn) {
          connection = conn
          conn.pause()
        },
        timeout: (_conn, kind) => void kinds.push(kind),
      },
      { readTimeoutMs: 100 },
      { trigger },
    )
    await connectPeer(t, port)
    await until(() => connection !== undefined)
    await sleep(500)
    t.strictSame(kinds, [])
    connection?.resume()
    await until(() => kinds.length === 2)
    t.strictSame(kinds, ['read', 'read'])
  })
}
