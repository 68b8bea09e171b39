import { t as tap, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { block, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

// Each test mostly waits for a time to pass.
tap.jobs = 6

const codeOf = { idle: 'ERR_C1M_IDLE_TIMEOUT', read: 'ERR_C1M_READ_TIMEOUT', total: 'ERR_C1M_CONNECTION_TIMEOUT' }

for (const trigger of TRIGGERS) {
  for (const kind of ['idle', 'read', 'total'] as const) {
    test(`a timeout handler that calls end() gets rid of a peer that never ends (${kind}, ${trigger})`, async (t) => {
      const log: unknown[] = []
      const { port } = await serve(
        t,
        {
          timeout(conn, firedKind) {
            log.push(firedKind)
            conn.end('bye')
          },
          close: (_conn, error) => void log.push(error?.code),
        },
        { [`${kind}TimeoutMs`]: 150 },
        { trigger },
      )
      const peer = await connectPeer(t, port)
      await until(() => log.length === 2)
      t.strictSame(log, [kind, codeOf[kind]])
      await peer.untilEnded()
      t.equal(peer.text, 'bye')
    })
  }
}

// By itself: it holds up the JS thread.
test('a timeout that ran out before end() was heard of there does not call the handler any more', {
  buffered: false,
}, async (t) => {
  const log: unknown[] = []
  const { port } = await serve(
    t,
    {
      // Blocks for several periods of the timeout.
      open: () => block(300),
      timeout(conn, kind) {
        log.push(kind)
        conn.end()
      },
      close: (_conn, error) => void log.push(error?.code),
    },
    { idleTimeoutMs: 20 },
  )
  await connectPeer(t, port)
  await until(() => log.includes('ERR_C1M_IDLE_TIMEOUT'))
  t.strictSame(log, ['idle', 'ERR_C1M_IDLE_TIMEOUT'])
})
