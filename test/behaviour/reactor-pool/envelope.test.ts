import { test } from 'tap'
import { turns, until } from '../../fixtures/reactor.js'
import { MODES, makeReactorPool, ODD_WORKERS } from '../../fixtures/reactor-pool.js'

for (const mode of MODES) {
  test(`${mode}: what the user sends over the same channel is no message of the pool's`, async (t) => {
    const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 1, data: { forge: true, wait: true } })
    const heard: unknown[] = []
    pool.on('message', (value) => heard.push(value))
    let ready = false
    const readiness = pool.ready().then(() => {
      ready = true
    })
    await until(() => heard.length === 1, 'the worker in its setup')
    t.strictSame(heard, ['waiting'])
    await turns()
    t.equal(ready, false, 'its setup has not returned')
    pool.shutdown({ timeoutMs: 0 })
    await t.rejects(readiness, { code: 'ERR_C1M_POOL_CLOSED' })
  })

  test(`${mode}: a worker that floods its pool is refused until the pool has heard of it`, async (t) => {
    const pool = makeReactorPool(t, { mode, size: 1 })
    let drops = 0
    const heard: unknown[] = []
    pool.on('message', (value) => (value === 'drop' ? drops++ : heard.push(value)))
    await pool.ready()
    for (let round = 1; round <= 2; round++) {
      pool.send('flood')
      await until(() => heard.length === round)
      const { taken } = heard[round - 1] as { taken: number }
      t.ok(taken > 9000 && taken <= 10_000, `${taken} of 40,000`)
    }
    t.equal(
      drops,
      heard.reduce<number>((sum, one) => sum + (one as { taken: number }).taken, 0),
    )
  })

  test(`${mode}: a worker whose message can’t be cloned ends as any other`, async (t) => {
    const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 1, data: { uncloneable: true } })
    const heard: unknown[] = []
    pool.on('message', (value) => heard.push(value))
    await pool.ready()
    await until(() => heard.length === 1)
    t.match(heard[0], /Error/)
    const began = performance.now()
    t.strictSame(await pool.shutdown({ timeoutMs: 60_000 }), { drained: 0, cut: 0 })
    t.ok(performance.now() - began < 60_000, 'by itself, and not by being killed')
  })
}

test('a worker that is stuck gets no more messages than there is room for', async (t) => {
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
