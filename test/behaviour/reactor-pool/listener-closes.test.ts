import { once } from 'node:events'
import { existsSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { freePort } from '../../fixtures/port.js'
import { until } from '../../fixtures/reactor.js'
import { MODES, makeReactorPool, ODD_WORKERS } from '../../fixtures/reactor-pool.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const host = '127.0.0.1'
/** Each crash of a worker makes its successor wait for twice as long. */
const ROUNDS = 6

for (const mode of MODES) {
  test(`${mode}: a listener that closes before its workers have opened it accepts no more`, async (t) => {
    const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 2 })
    await pool.ready()
    for (let round = 0; round < ROUNDS; round++) {
      const listener = await pool.listen({ host, port: await freePort() })
      const port = listener.port as number
      // The replacement gets the command to listen, and immediately afterwards the one to close.
      pool.send('exit', round % 2)
      await once(pool, 'crash')
      await listener.close()
      await t.rejects(connectPeer(t, port), { code: 'ECONNREFUSED' })
      await until(() => pool.send('hello') === 2, 'the successor')
      await t.rejects(connectPeer(t, port), { code: 'ECONNREFUSED' })
    }
  })

  for (const placement of ['reuse-port', 'least-connections'] as const) {
    test(`${mode}, ${placement}: a shutdown closes listeners first, and serves connected clients`, async (t) => {
      const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 2 })
      const port = (await pool.listen({ host, port: await freePort(), placement })).port as number
      const peers = await Promise.all(Array.from({ length: 20 }, () => connectPeer(t, port)))
      const ending = pool.shutdown({ timeoutMs: 60_000 })
      // Clients in this thread's queue are served as well.
      await Promise.all(peers.map((peer) => peer.untilBytes(7)))
      for (const peer of peers) t.equal(peer.text, 'goodbye')
      await t.rejects(connectPeer(t, port), { code: 'ECONNREFUSED' }, 'while connections drain')
      for (const peer of peers) peer.end()
      t.strictSame(await ending, { drained: 20, cut: 0 })
    })
  }
}

test('the deadline of a shutdown applies to a worker that drains for a restart', async (t) => {
  const pool = makeReactorPool(t, { size: 1 })
  const { LINES } = await import('../../fixtures/pool-workers.js')
  const port = (await pool.listen(LINES)).port as number
  const peer = await connectPeer(t, port)
  peer.write('hello\n')
  await peer.untilBytes(6)
  const draining = once(pool, 'message')
  const restarting = pool.restart({ timeoutMs: 2 ** 31 - 1 })
  await draining
  t.match(await pool.shutdown({ timeoutMs: 100 }), { cut: 1 })
  t.match(await restarting, { cut: 1 })
  await peer.untilEnded()
})

test('a pool doesn’t remove a file that has replaced its Unix socket', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  const pool = makeReactorPool(t, { module: ODD_WORKERS, size: 1 })
  const first = await pool.listen({ path })
  unlinkSync(path)
  writeFileSync(path, 'a file')
  await first.close()
  t.ok(existsSync(path), 'a regular file')
  unlinkSync(path)
  const second = await pool.listen({ path })
  const successor = createServer().listen(`${path}2`)
  await once(successor, 'listening')
  renameSync(`${path}2`, path)
  await second.close()
  t.ok(existsSync(path), 'another socket')
  successor.close()
  unlinkSync(path)
  const third = await pool.listen({ path })
  await third.close()
  t.notOk(existsSync(path), 'its own is')
})
