import { delimited } from 'c1m'
import { test } from 'tap'
import { ask, MODES, makeReactorPool } from '../../fixtures/reactor-pool.js'

for (const mode of MODES) {
  test(`least-connections: a connection has the options of its listener (${mode})`, async (t) => {
    const pool = makeReactorPool(t, { mode, size: 1 })
    // The worker sets options that an accepted socket doesn't inherit, except deferAcceptMs.
    const { port } = await pool.listen({
      host: '127.0.0.1',
      port: 0,
      framing: delimited('\n'),
      handlers: 'lines',
      placement: 'least-connections',
      deferAcceptMs: 1000,
      quickAck: false,
    })
    t.equal(await ask(port as number, 'quickAck'), 'false')
  })
}
