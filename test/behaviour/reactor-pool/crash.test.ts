import { once } from 'node:events'
import { t as tap, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { LINES } from '../../fixtures/pool-workers.js'
import { until } from '../../fixtures/reactor.js'
import { ask, askAround, MODES, makeReactorPool } from '../../fixtures/reactor-pool.js'

// Each test mostly waits for workers to start, or to end.
tap.jobs = 2

/** A connection to each worker, by its place. */
async function onePeerEach(t: Parameters<typeof connectPeer>[0], port: number, size: number) {
  const peers = new Map<number, { peer: Awaited<ReturnType<typeof connectPeer>>; who: string }>()
  for (let i = 0; i < 1000 && peers.size < size; i++) {
    const peer = await connectPeer(t, port)
    peer.write('who\n')
    await until(() => peer.text.endsWith('\n'))
    const place = Number(peer.text.split(' ')[0])
    if (peers.has(place)) peer.socket.destroy()
    else peers.set(place, { peer, who: peer.text })
  }
  return peers
}

for (const placement of ['reuse-port', 'least-connections'] as const) {
  test(`${placement}: when a process is killed, other workers serve all clients`, async (t) => {
    const pool = makeReactorPool(t, { mode: 'processes', size: 3 })
    const port = (await pool.listen({ ...LINES, placement })).port as number
    const peers = await onePeerEach(t, port, 3)
    const victim = peers.get(1) as { peer: Awaited<ReturnType<typeof connectPeer>>; who: string }
    const crashed = once(pool, 'crash')
    process.kill(Number(victim.who.split(' ')[1]), 'SIGKILL')
    const [crash] = await crashed
    t.match(crash, { worker: 1, code: null, signal: 'SIGKILL' })
    // Sent before the successor has started: another worker accepts, or the queue has room for all.
    const questions = Array.from({ length: 50 }, (_, at) => `question ${at}`)
    t.strictSame(await Promise.all(questions.map((question) => ask(port, question))), questions)
    await victim.peer.untilEnded()
    for (const place of [0, 2]) {
      const { peer } = peers.get(place) as { peer: Awaited<ReturnType<typeof connectPeer>> }
      const seen = peer.length
      peer.write('alive\n')
      await peer.untilBytes(seen + 6)
      t.equal(peer.text.slice(seen), 'alive\n')
    }
    const after = await askAround(port, 3)
    t.match(
      after.map((answer) => answer.split(' ')[0]),
      ['0', '1', '2'],
    )
    t.notOk(after.includes(victim.who.trim()))
    const { crashes, restarts } = await pool.stats()
    t.strictSame({ crashes, restarts }, { crashes: 1, restarts: 1 })
  })
}

test('a busy worker doesn’t keep another from being replaced', async (t) => {
  const pool = makeReactorPool(t, { mode: 'processes' })
  const port = (await pool.listen(LINES)).port as number
  const peers = await onePeerEach(t, port, 2)
  peers.get(0)?.peer.write('spin\n')
  const crashed = once(pool, 'crash')
  process.kill(Number(peers.get(1)?.who.split(' ')[1]), 'SIGKILL')
  await crashed
  t.equal(pool.send('hello', 1), 0)
  await until(() => pool.send('hello', 1) === 1, 'the successor')
})

test('a pool of one process serves the clients that connect while it is restarted', async (t) => {
  for (const placement of ['reuse-port', 'least-connections'] as const) {
    const pool = makeReactorPool(t, { mode: 'processes', size: 1 })
    const port = (await pool.listen({ ...LINES, placement })).port as number
    const [who = ''] = await askAround(port, 1)
    const crashed = once(pool, 'crash')
    process.kill(Number(who.split(' ')[1]), 'SIGKILL')
    const early = Array.from({ length: 5 }, () => connectPeer(t, port))
    await crashed
    const late = await ask(port, 'late')
    t.equal(late, 'late')
    // Connections that the killed process had accepted are closed.
    for (const peer of await Promise.all(early)) peer.socket.destroy()
    await pool.shutdown({ timeoutMs: 0 })
  }
})

for (const question of ['throw', 'exit']) {
  for (const mode of MODES) {
    test(`${mode}: a worker that ends unexpectedly (${question}) is replaced`, async (t) => {
      const pool = makeReactorPool(t, { mode })
      const port = (await pool.listen(LINES)).port as number
      const crashed = once(pool, 'crash')
      const asking = ask(port, question).catch((error) => error)
      const [crash] = await crashed
      const code = question === 'exit' ? 3 : mode === 'threads' ? 1 : 7
      if (question === 'exit' || mode === 'threads') t.equal(crash.code, code)
      if (question === 'throw' && mode === 'threads') t.equal(crash.error.message, 'thrown in data')
      t.match(await asking, Error)
      t.equal((await askAround(port, 2)).length, 2)
      t.match(await pool.stats(), { crashes: 1 })
    })
  }
}

test('a worker that crashes repeatedly is restarted at growing intervals', async (t) => {
  const pool = makeReactorPool(t, { size: 1 })
  const times: number[] = []
  pool.on('crash', () => times.push(performance.now()))
  await pool.ready()
  for (let crashes = 1; crashes <= 4; crashes++) {
    await until(() => pool.send('exit') === 1, 'a worker')
    await until(() => times.length === crashes, 'a crash')
  }
  const gaps = times.slice(1).map((time, at) => time - (times[at] as number))
  // Intervals of 100, 200 and 400 ms plus the start; a loaded machine only makes them longer.
  t.ok(
    gaps.every((gap, at) => gap >= 100 * 2 ** at - 5),
    gaps.join(),
  )
  t.equal((await pool.stats()).crashes, 4)
})

test('a successor that can’t start is retried, and restart() rejects', async (t) => {
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_OPTIONS: '' }
  const pool = makeReactorPool(t, { mode: 'processes', size: 1, env, maxOpenFiles: 256 })
  const port = (await pool.listen(LINES)).port as number
  const [who] = await askAround(port, 1)
  // Further processes fail, because Node refuses this option.
  env.NODE_OPTIONS = '--no-such-option'
  await t.rejects(pool.restart(), { code: 'ERR_C1M_WORKER_FAILED' })
  t.strictSame(await askAround(port, 1), [who], 'the present worker continues')
  const crashes = (await pool.stats()).crashes
  process.kill(Number(who?.split(' ')[1]), 'SIGKILL')
  let seen = 0
  pool.on('crash', () => seen++)
  await until(() => seen >= 3, 'failures of the successors')
  env.NODE_OPTIONS = ''
  t.equal(await ask(port, 'there again'), 'there again')
  t.ok((await pool.stats()).crashes >= crashes + 3)
})
