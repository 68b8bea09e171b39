import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection, Timeouts } from 'c1m'
import { t as tap, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

// Each test mostly waits for a time to pass.
tap.jobs = 2

for (const trigger of TRIGGERS) {
  test(`setTimeouts() sets the given timeouts, and keeps the others (${trigger})`, async (t) => {
    const kinds: string[] = []
    let connection: Connection<undefined> | undefined
    const { port, reactor } = await serve(
      t,
      {
        open(conn) {
          connection = conn
          t.equal(conn.setTimeouts({ idleMs: 0, readMs: 0 }), true)
        },
        timeout: (_conn, kind) => void kinds.push(kind),
      },
      { idleTimeoutMs: 1000, readTimeoutMs: 1000, totalTimeoutMs: 1500 },
      { trigger },
    )
    await connectPeer(t, port)
    await until(() => kinds.length === 1)
    t.strictSame(kinds, ['total'])
    connection?.setTimeouts({ totalMs: 0, idleMs: 100 })
    await until(() => kinds.length === 3)
    t.strictSame(kinds, ['total', 'idle', 'idle'])
    connection?.setTimeouts({ idleMs: 0 })
    await fence(reactor)
    const before = kinds.length
    await sleep(400)
    t.equal(kinds.length, before)
  })
}

test('setTimeouts() with a bad argument throws, and sets nothing', async (t) => {
  let connection: Connection<undefined> | undefined
  const { port, reactor } = await serve(t, {
    open(conn) {
      connection = conn
    },
  })
  await connectPeer(t, port)
  await until(() => connection !== undefined)
  const conn = connection as unknown as Connection
  const bad: readonly (readonly [unknown, { name: string; code: string; message?: RegExp }])[] = [
    [null, { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }],
    [1000, { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }],
    [{ readMs: '1' }, { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE', message: /"readMs"/ }],
    [
      { idleMs: 1, totalMs: -1 },
      { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE', message: /"totalMs"/ },
    ],
    [{ writeMs: 2 ** 31 }, { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE', message: /"writeMs"/ }],
    [{ read: 1 }, { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE', message: /"read".*"readMs"/ }],
  ]
  for (const [timeouts, expected] of bad) t.throws(() => conn.setTimeouts(timeouts as Timeouts), expected)
  await fence(reactor)
  t.equal(conn.closed, false)
  t.equal(conn.setTimeouts({}), true)
  conn.destroy()
  t.equal(conn.setTimeouts({ idleMs: 1 }), false)
})
