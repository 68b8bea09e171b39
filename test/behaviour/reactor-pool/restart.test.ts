import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { LINES } from '../../fixtures/pool-workers.js'
import { until } from '../../fixtures/reactor.js'
import { ask, askAround, MODES, makeReactorPool } from '../../fixtures/reactor-pool.js'

for (const mode of MODES) {
  for (const placement of ['reuse-port', 'least-connections'] as const) {
    test(`${mode}, ${placement}: a rolling restart under load loses no request`, async (t) => {
      const pool = makeReactorPool(t, { mode })
      const port = (await pool.listen({ ...LINES, placement })).port as number
      const before = await askAround(port, 2)
      const counts = { asked: 0, answered: 0, goodbyes: 0 }
      let stopped = false
      /** Sends each request over a connection of its own. */
      const short = async () => {
        while (!stopped) {
          const question = `short ${counts.asked++}`
          const answer = await ask(port, question)
          if (answer.replace('!', '') === question) counts.answered++
        }
      }
      /** Sends requests over one connection, until a reply is marked as the last. */
      const long = async () => {
        while (!stopped) {
          const peer = await connectPeer(t, port)
          while (!stopped && !peer.text.endsWith('!\n')) {
            const seen = peer.length
            const question = `long ${counts.asked++}`
            peer.write(`${question}\n`)
            await until(() => peer.text.slice(seen).endsWith('\n') || peer.gone, 'a reply')
            if (peer.text.slice(seen).trim().replace('!', '') === question) counts.answered++
            await turn()
          }
          if (peer.text.endsWith('!\n')) counts.goodbyes++
          peer.socket.destroy()
        }
      }
      const load = [short(), short(), long(), long(), long()]
      const result = await pool.restart()
      stopped = true
      await Promise.all(load)
      t.equal(counts.answered, counts.asked, `${counts.asked} questions`)
      t.equal(result.cut, 0)
      t.ok(counts.goodbyes >= 3, 'each long connection has been replaced')
      const after = await askAround(port, 2)
      t.notOk(
        after.some((one) => before.includes(one)),
        'all have been replaced',
      )
      const { restarts, crashes } = await pool.stats()
      t.strictSame({ restarts, crashes }, { restarts: 2, crashes: 0 })
    })
  }

  test(`${mode}: restart() cuts connections at its deadline`, async (t) => {
    const pool = makeReactorPool(t, { mode, size: 1 })
    const port = (await pool.listen(LINES)).port as number
    const peer = await connectPeer(t, port)
    peer.write('hello\n')
    await peer.untilBytes(6)
    t.strictSame(await pool.restart({ timeoutMs: 50 }), { drained: 0, cut: 1 })
    await peer.untilEnded()
    t.equal(await ask(port, 'next'), 'next')
  })
}

test('restart() restarts one worker after the other, and a second call joins the first', async (t) => {
  const pool = makeReactorPool(t, { size: 3 })
  const drained: number[] = []
  pool.on('message', (_, worker) => drained.push(worker))
  await pool.ready()
  const first = pool.restart()
  const second = pool.restart()
  t.strictSame(await second, await first)
  t.strictSame(drained, [0, 1, 2])
  t.equal((await pool.stats()).restarts, 3)
})
