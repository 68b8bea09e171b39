import { test } from 'tap'
import { makeGate, makePool } from '../../fixtures/pool.js'
import { until } from '../../fixtures/reactor.js'

const EXPECTED = {
  throw: { name: 'RangeError' },
  exit: { message: /exit/ },
  memory: { code: 'ERR_WORKER_OUT_OF_MEMORY' },
}

for (const kind of ['throw', 'exit', 'memory'] as const) {
  test(`a task that fails (${kind}) doesn't affect other tasks`, async (t) => {
    const pool = makePool(t, { size: 2, resourceLimits: { maxOldGenerationSizeMb: 32 } })
    const { gate, open } = makeGate()
    const beside = pool.run({ kind: 'gate', gate, value: 'beside' })
    await until(() => pool.stats().running === 1)
    const failing = pool.run({ kind })
    const behind = [1, 2, 3].map((value) => pool.run({ kind: 'same', value }))
    const error: Error & { code?: string } = await failing.then(
      () => new Error('none'),
      (reason) => reason,
    )
    t.match(error, EXPECTED[kind])
    t.strictSame(await Promise.all(behind), [1, 2, 3], 'its worker was replaced')
    open()
    t.equal(await beside, 'beside', 'a task on another worker has succeeded')
    t.match(pool.stats(), { completed: 4, failed: 1 })
  })
}
