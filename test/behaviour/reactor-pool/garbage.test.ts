import * as threads from 'node:worker_threads'
import { test } from 'tap'
import { collected } from '../../fixtures/garbage.js'
import { LINES } from '../../fixtures/pool-workers.js'
import { makeReactorPool } from '../../fixtures/reactor-pool.js'

for (const placement of ['reuse-port', 'least-connections'] as const) {
  test(`${placement}: a replaced worker is collected, although its listener is open`, async (t) => {
    const references: WeakRef<object>[] = []
    const { Worker } = threads
    const builtin = require('node:worker_threads') as { Worker: typeof Worker }
    builtin.Worker = class extends Worker {
      constructor(...given: ConstructorParameters<typeof Worker>) {
        super(...given)
        references.push(new WeakRef(this))
      }
    }
    t.teardown(() => {
      builtin.Worker = Worker
    })
    const pool = makeReactorPool(t, { size: 1 })
    await pool.listen({ ...LINES, placement })
    for (let round = 0; round < 3; round++) await pool.restart({ timeoutMs: 0 })
    t.equal(references.length, 4)
    t.equal(await collected(references.slice(0, -1)), 3)
  })
}
