import { test } from 'tap'
import { turns, until } from '../../fixtures/reactor.js'
import { MODES, makeReactorPool, ODD_WORKERS } from '../../fixtures/reactor-pool.js'

for (const mode of MODES) {
  test(`${mode}: the user's own messages over the channel aren't taken for the pool's`, async (t) => {
    const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 1, data: { forge: true, wait: true } })
    const messages: unknown[] = []
    pool.on('message', (value) => messages.push(value))
    let ready = false
    const readiness = pool.ready().then(() => {
      ready = true
    })
    await until(() => messages.length === 1, 'the worker in its setup')
    t.strictSame(messages, ['waiting'])
    await turns()
    t.equal(ready, false, 'its setup has not returned')
    pool.shutdown({ timeoutMs: 0 })
    await t.rejects(readiness, { code: 'ERR_C1M_POOL_CLOSED' })
  })

  test(`${mode}: send() of a worker returns false while too many of its messages are in flight`, async (t) => {
    const pool = makeReactorPool(t, { mode, size: 1 })
    let drops = 0
    const messages: unknown[] = []
    pool.on('message', (value) => (value === 'drop' ? drops++ : messages.push(value)))
    await pool.ready()
    for (let round = 1; round <= 2; round++) {
      pool.send('flood')
      await until(() => messages.length === round)
      const { taken } = messages[round - 1] as { taken: number }
      t.ok(taken > 9000 && taken <= 10_000, `${taken} of 40,000`)
    }
    t.equal(
      drops,
      messages.reduce<number>((sum, one) => sum + (one as { taken: number }).taken, 0),
    )
  })

  test(`${mode}: a worker whose message can’t be cloned still ends normally`, async (t) => {
    const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 1, data: { uncloneable: true } })
    const messages: unknown[] = []
    pool.on('message', (value) => messages.push(value))
    await pool.ready()
    await until(() => messages.length === 1)
    t.match(messages[0], /Error/)
    const began = performance.now()
    t.strictSame(await pool.shutdown({ timeoutMs: 60_000 }), { drained: 0, cut: 0 })
    t.ok(performance.now() - began < 60_000, 'the worker ended on its own')
  })
}

test('a bounded number of messages is queued for a busy worker', async (t) => {
  const pool = makeReactorPool(t, { module: ODD_WORKERS, size: 1 })
  await pool.ready()
  pool.send({ spin: 1000 })
  let taken = 0
  for (let i = 0; i < 20_000; i++) taken += pool.send('hello')
  t.ok(taken < 20_000 && taken > 1000, `${taken} of 20,000`)
  const broadcasts = Array.from({ length: 40 }, () => pool.broadcast(Buffer.alloc(2 ** 20)))
  t.equal((await Promise.all(broadcasts)).length, 40)
  await until(() => pool.send('hello') === 1, 'room')
})
