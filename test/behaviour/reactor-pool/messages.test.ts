import { once } from 'node:events'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { LINES } from '../../fixtures/pool-workers.js'
import { until } from '../../fixtures/reactor.js'
import { MODES, makeReactorPool } from '../../fixtures/reactor-pool.js'

for (const mode of MODES) {
  test(`${mode}: messages reach one worker or all, and the pool`, async (t) => {
    const pool = makeReactorPool(t, { mode })
    const heard: [unknown, number][] = []
    pool.on('message', (value, worker) => heard.push([value, worker]))
    t.equal(pool.send('too early'), 0)
    await pool.ready()
    const value = { map: new Map([['a', 1n]]), date: new Date(0), bytes: new Uint8Array([1, 2]) }
    t.equal(pool.send(value, 1), 1)
    await until(() => heard.length === 1)
    t.match(heard, [[{ index: 1, value: { map: value.map, date: value.date } }, 1]])
    t.equal(pool.send('to all'), 2)
    await until(() => heard.length === 3)
    t.strictSame(
      heard
        .slice(1)
        .map(([, worker]) => worker)
        .sort(),
      [0, 1],
    )
    t.throws(() => pool.send(() => {}), /could not be cloned/)
  })

  test(`${mode}: a broadcast reaches the connections of all workers`, async (t) => {
    const pool = makeReactorPool(t, { mode })
    const { port } = await pool.listen({ ...LINES, placement: 'least-connections' })
    const peers = await Promise.all(Array.from({ length: 6 }, () => connectPeer(t, port as number)))
    await until(() => pool.connections === 6)
    t.match(await pool.broadcast('to all\n'), { reached: 6, cut: 0 })
    t.match(await pool.broadcast(new Uint8Array([33])), { reached: 6, cut: 0 })
    for (const peer of peers) {
      await peer.untilBytes(8)
      t.equal(peer.text, 'to all\n!')
    }
    await t.rejects(pool.broadcast(1 as unknown as string), { code: 'ERR_C1M_INVALID_ARG_TYPE' })
  })
}

test('maxOpenFiles limits a process’s descriptors without a shell', async (t) => {
  const env = { ...process.env, PATH: '/nonexistent' }
  const pool = makeReactorPool(t, { mode: 'processes', size: 1, maxOpenFiles: 300, env })
  await pool.ready()
  pool.send('limit')
  const [value] = await once(pool, 'message')
  t.strictSame(value, { soft: 300 })
})
