import { test } from 'tap'
import { openThreads } from '../../fixtures/host.js'
import { makePool } from '../../fixtures/pool.js'
import { until } from '../../fixtures/reactor.js'

test('close({ force: true }) ends all workers, and starts no others', async (t) => {
  // Threads that Node starts with the first worker stay.
  const first = makePool(t, { size: 2 })
  await first.run({ kind: 'same', value: 1 })
  await first.close()
  const before = openThreads()
  for (let round = 0; round < 3; round++) {
    const pool = makePool(t, { size: 2 })
    await Promise.all([1, 2, 3, 4].map((value) => pool.run({ kind: 'same', value })))
    t.ok(openThreads() > before)
    await pool.close({ force: true })
  }
  await until(() => openThreads() <= before, 'the end of all workers')
})
