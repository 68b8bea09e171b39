import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { t as tap, test } from 'tap'
import { LINES } from '../../fixtures/pool-workers.js'
import { MODES, makeReactorPool, WORKERS } from '../../fixtures/reactor-pool.js'

// Each test mostly waits for workers to start.
tap.jobs = 2

const causes = {
  throw: { name: 'RangeError', message: 'thrown in setup' },
  reject: { code: 'ESETUP', message: 'rejected in setup' },
  exit: undefined,
} as const

for (const mode of MODES) {
  for (const [how, cause] of Object.entries(causes)) {
    test(`${mode}: a setup that fails (${how}) in one worker fails the pool, once`, async (t) => {
      const pool = makeReactorPool(t, { mode, data: { setup: how, only: 1 } })
      let crashes = 0
      pool.on('crash', () => crashes++)
      const failed = { code: 'ERR_C1M_WORKER_FAILED', message: /^Worker 1 / }
      const error = await pool.ready().catch((reason) => reason)
      t.match(error, failed)
      if (cause !== undefined) t.match(error.cause, cause)
      await t.rejects(pool.listen(LINES), { code: 'ERR_C1M_POOL_CLOSED' })
      t.equal(pool.send('hello'), 0)
      const before = crashes
      // A successor would start after 100 ms.
      await sleep(300)
      t.equal(crashes, before, 'no worker is started again')
      t.strictSame((await pool.stats()).workers, [])
    })
  }
  for (const how of ['wait', 'spin'] as const) {
    test(`${mode}: a setup that takes too long (${how}) fails the pool`, async (t) => {
      const pool = makeReactorPool(t, { mode, size: 1, startTimeoutMs: 300, data: { setup: how } })
      await t.rejects(pool.ready(), { code: 'ERR_C1M_WORKER_FAILED', message: 'Worker 0 did not start within 300 ms' })
      await pool.shutdown()
    })
  }
}

test('a listen() during a failing start rejects', async (t) => {
  const pool = makeReactorPool(t, { data: { setup: 'throw' } })
  await t.rejects(pool.listen(LINES), { code: 'ERR_C1M_WORKER_FAILED', message: /thrown in setup/ })
})

test('a missing module, or one without setup(), fails the pool', async (t) => {
  const missing = makeReactorPool(t, { module: '/no/such/module.js' })
  await t.rejects(missing.ready(), { code: 'ERR_C1M_WORKER_FAILED', message: /no\/such\/module/ })
  const module = pathToFileURL(join(__dirname, '../../fixtures/bytes.js'))
  const without = makeReactorPool(t, { module })
  await t.rejects(without.ready(), { code: 'ERR_C1M_WORKER_FAILED', message: /no function "setup"/ })
})

test('data that can’t be cloned fails the pool', async (t) => {
  const pool = makeReactorPool(t, { module: WORKERS, data: { fn() {} } })
  await t.rejects(pool.ready(), { name: 'DataCloneError' })
})
