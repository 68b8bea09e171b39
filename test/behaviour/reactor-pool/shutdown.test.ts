import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'
import { startChild } from '../../fixtures/child.js'
import { openDescriptors, openThreads } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { LINES } from '../../fixtures/pool-workers.js'
import { freePort } from '../../fixtures/port.js'
import { until } from '../../fixtures/reactor.js'
import { ask, MODES, makeReactorPool } from '../../fixtures/reactor-pool.js'

interface Started {
  readonly port: number
  readonly workers: readonly number[]
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

for (const mode of MODES) {
  test(`${mode}: a shutdown drains all workers, and leaves nothing behind`, async (t) => {
    // A first pool makes libuv and Node open the descriptors that they keep.
    const first = makeReactorPool(t, { mode })
    await ask((await first.listen({ ...LINES, placement: 'least-connections' })).port as number, 'hello')
    await first.shutdown({ timeoutMs: 0 })
    // A joined thread is in /proc for a little longer.
    await sleep(60)
    const before = { descriptors: openDescriptors(), threads: openThreads() }
    const pool = makeReactorPool(t, { mode })
    const byKernel = (await pool.listen({ ...LINES, port: await freePort() })).port as number
    const port = await freePort()
    const byUs = (await pool.listen({ ...LINES, port, placement: 'least-connections' })).port as number
    const peers = await Promise.all([byKernel, byUs, byUs].map((port) => connectPeer(t, port)))
    for (const peer of peers) peer.write('hello\n')
    await Promise.all(peers.map((peer) => peer.untilBytes(6)))
    await until(() => pool.connections === 3)
    const ended = pool.shutdown({ timeoutMs: 60_000 })
    // The next reply of each worker is marked as the last.
    await until(() => {
      for (const peer of peers) if (!peer.gone) peer.write('bye\n')
      return peers.every((peer) => peer.text.endsWith('!\n'))
    })
    for (const peer of peers) peer.end()
    t.strictSame(await ended, { drained: 3, cut: 0 })
    t.strictSame(await pool.shutdown(), { drained: 3, cut: 0 })
    for (const port of [byKernel, byUs]) await t.rejects(ask(port, 'who'), { code: 'ECONNREFUSED' })
    await t.rejects(pool.listen(LINES), { code: 'ERR_C1M_POOL_CLOSED' })
    await t.rejects(pool.restart(), { code: 'ERR_C1M_POOL_CLOSED' })
    for (const peer of peers) peer.socket.destroy()
    await until(() => openThreads() <= before.threads, 'the end of its threads')
    await until(() => openDescriptors() <= before.descriptors, 'the release of its descriptors')
  })

  test(`${mode}: a shutdown while workers start, or during a restart, ends all of them`, async (t) => {
    const early = makeReactorPool(t, { mode })
    const listening = early.listen(LINES).catch((error) => error)
    t.strictSame(await early.shutdown(), { drained: 0, cut: 0 })
    t.match(await listening, { code: 'ERR_C1M_POOL_CLOSED' })
    const pool = makeReactorPool(t, { mode })
    await pool.ready()
    const restarting = pool.restart()
    await pool.shutdown()
    await restarting
    t.strictSame((await pool.stats()).workers, [])
  })

  test(`${mode}: the process exits on its own after a shutdown`, async (t) => {
    const child = startChild(t, 'pool', { args: [mode] })
    const { port } = await child.next<Started>()
    t.equal(await ask(port, 'hello'), 'hello')
    child.tell('shutdown')
    t.match(await child.next(), { cut: 0 })
    t.strictSame(await child.untilExit(), { code: 0, signal: null })
  })
}

test('worker processes end when their pool’s process is killed', async (t) => {
  const child = startChild(t, 'pool', { args: ['processes'] })
  const { workers } = await child.next<Started>()
  t.ok(workers.every(alive))
  child.process.kill('SIGKILL')
  await until(() => !workers.some(alive), 'their end')
})

test('after a signal to the process group, as by Ctrl-C, the pool drains its workers', async (t) => {
  const child = startChild(t, 'pool', { args: ['processes'] })
  const { port, workers } = await child.next<Started>()
  const peer = await connectPeer(t, port)
  peer.write('hello\n')
  await peer.untilBytes(6)
  for (const pid of [...workers, child.process.pid as number]) process.kill(pid, 'SIGINT')
  await until(() => {
    if (!peer.gone) peer.write('bye\n')
    return peer.text.endsWith('!\n')
  })
  peer.end()
  t.match(await child.next(), { drained: 1, cut: 0 })
  t.strictSame(await child.untilExit(), { code: 0, signal: null })
})
