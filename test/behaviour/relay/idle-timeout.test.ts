import { setTimeout as sleep } from 'node:timers/promises'
import { relay } from 'c1m'
import { t as tap, test } from 'tap'
import { TRIGGERS } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

// Each test mostly waits for a time to pass.
tap.jobs = 5

for (const trigger of TRIGGERS) {
  test(`idleTimeoutMs counts bytes of either direction (${trigger})`, async (t) => {
    const { a, b, peerA, peerB, logA, logB } = await connectPair(t, { trigger })
    for (const conn of [a, b]) conn.setTimeout(50)
    const begun = Date.now()
    const ended = relay(a, b, { idleTimeoutMs: 400 })
    for (let i = 0; i < 8; i++) {
      await (i % 2 === 0 ? peerA : peerB).flush('x')
      await sleep(100)
    }
    const { reason, error, bytesFromA, bytesFromB } = await ended
    t.equal(reason, 'timeout')
    t.equal((error as NodeJS.ErrnoException).code, 'ERR_C1M_IDLE_TIMEOUT')
    t.ok(Date.now() - begun >= 700 + 400)
    t.strictSame([bytesFromA, bytesFromB], [4, 4])
    t.strictSame(
      [logA, logB],
      [
        ['open', 'close ERR_C1M_IDLE_TIMEOUT'],
        ['open', 'close ERR_C1M_IDLE_TIMEOUT'],
      ],
    )
    await Promise.all([peerA.untilEnded(), peerB.untilEnded()])
    t.equal(peerA.error ?? peerB.error, undefined)
  })
}

test("without idleTimeoutMs the connections' own timeouts end a relay", async (t) => {
  const { a, b } = await connectPair(t)
  b.setTimeout(50)
  const { reason, side } = await relay(a, b)
  t.strictSame({ reason, side }, { reason: 'timeout', side: 'b' })
})

test('timeout handlers of relayed connections are called, and may let the relay continue', async (t) => {
  let calls = 0
  const { a, b, peerA, peerB } = await connectPair(t, {
    handlers: {
      timeout(conn) {
        if (++calls === 3) conn.destroy()
      },
    },
  })
  a.setTimeout(30)
  const { reason, side } = await relay(a, b)
  t.strictSame({ reason, side }, { reason: 'destroyed', side: 'a' })
  t.equal(calls, 3)
  await Promise.all([peerA.untilEnded(), peerB.untilEnded()])
})

test('idleTimeoutMs: 0 switches off the connections’ own timeouts', async (t) => {
  const { a, b, peerA, peerB } = await connectPair(t, { listen: { idleTimeoutMs: 400 } })
  const ended = relay(a, b, { idleTimeoutMs: 0 })
  await sleep(900)
  peerA.end()
  peerB.end()
  t.equal((await ended).reason, 'end')
})
