import { test } from 'tap'
import { startChild } from '../../fixtures/child.js'
import { MODES } from '../../fixtures/reactor-pool.js'

for (const mode of MODES) {
  test(`${mode}: exceptions of listeners of its events don't disturb a pool`, async (t) => {
    const child = startChild(t, 'throwing-pool', { args: [mode] })
    t.match(await child.next(), {
      caught: ['message still there', 'crash'],
      result: { drained: 0, cut: 0 },
      restarts: 1,
    })
    t.strictSame(await child.untilExit(), { code: 0, signal: null })
  })
}
