import { test } from 'tap'
import { startChild } from '../../fixtures/child.js'
import { serve } from '../../fixtures/reactor.js'
import { askAround, MODES } from '../../fixtures/reactor-pool.js'

for (const mode of MODES) {
  test(`${mode}: pools in cluster workers share a port`, async (t) => {
    const { reactor, port } = await serve(t, {})
    await reactor.shutdown()
    const primary = startChild(t, 'pool-cluster', { args: [mode, String(port)] })
    t.strictSame([await primary.next(), await primary.next()], ['listening', 'listening'])
    t.equal((await askAround(port, 2)).length, 2)
    primary.tell('stop')
    t.strictSame(await primary.untilExit(), { code: 0, signal: null })
  })
}
