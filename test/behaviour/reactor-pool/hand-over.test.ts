import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { openDescriptors } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { block, until } from '../../fixtures/reactor.js'
import { MODES, makeReactorPool, ODD_WORKERS } from '../../fixtures/reactor-pool.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const where = { host: '127.0.0.1', port: 0, placement: 'least-connections' } as const

for (const mode of MODES) {
  test(`${mode}: clients are rejected while all workers are full, and leave no descriptor`, async (t) => {
    const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 2, reactor: { maxConnections: 1 } })
    const port = (await pool.listen(where)).port as number
    const first = [await connectPeer(t, port), await connectPeer(t, port)]
    for (const peer of first) peer.write('hello')
    await Promise.all(first.map((peer) => peer.untilBytes(5)))
    await until(() => pool.connections === 2)
    const before = openDescriptors()
    let ended = 0
    for (let i = 0; i < 50; i++) {
      connect(port, '127.0.0.1')
        .on('error', () => {})
        .on('close', () => ended++)
    }
    await until(() => ended === 50, 'the end of the rejected clients')
    await until(() => openDescriptors() <= before, 'the release of their descriptors')
    for (const peer of first) peer.socket.destroy()
    await until(() => pool.connections === 0)
    const next = await connectPeer(t, port)
    next.write('again')
    await next.untilBytes(5)
    t.equal(next.text, 'again')
  })

  test(`${mode}: a worker that can’t take a connection closes it`, async (t) => {
    // The pool doesn't know of a connection that the worker itself has accepted until the worker reports it.
    const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 1, reactor: { maxConnections: 1 } })
    const byPool = (await pool.listen(where)).port as number
    const byKernel = (await pool.listen({ ...where, placement: 'reuse-port' })).port as number
    const before = openDescriptors()
    let ended = 0
    for (let round = 0; round < 20; round++) {
      for (const port of [byKernel, byPool]) {
        connect(port, '127.0.0.1')
          .on('error', () => {})
          .on('close', () => ended++)
          .end('destroy')
      }
      await until(() => ended === 2 * (round + 1))
    }
    await until(() => pool.connections === 0)
    await until(() => openDescriptors() <= before, 'the release of the descriptors')
    await pool.shutdown({ timeoutMs: 0 })
  })

  test(`${mode}: a connection that a worker destroys ends while the pool’s thread is busy`, async (t) => {
    const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 1 })
    const port = (await pool.listen(where)).port as number
    const client = `const s = require('net').connect(${port}, '127.0.0.1')
      s.once('data', () => { s.write('destroy'); const began = Date.now(); s.on('close', () => {
        process.stdout.write(String(Date.now() - began)); process.exit() }) })
      s.on('error', () => {}).write('hello')`
    const { spawn } = await import('node:child_process')
    const child = spawn(process.execPath, ['-e', client], { env: { ...process.env, NODE_OPTIONS: '' } })
    let took = ''
    child.stdout.on('data', (text) => {
      took += text
    })
    await until(() => pool.connections === 1 || took !== '', 'the client')
    // The child measures whether its peer closed before this thread was free.
    block(2000)
    await until(() => took !== '')
    t.ok(Number(took) < 1500, `${took} ms`)
  })

  test(`${mode}: clients that wait for a worker are rejected when their Unix listener closes`, async (t) => {
    const pool = makeReactorPool(t, { mode, module: ODD_WORKERS, size: 1 })
    const path = join(temporaryDirectory(t), 'socket')
    const listener = await pool.listen({ path })
    pool.send('exit')
    await until(() => pool.send('hello') === 0, 'the end of the worker')
    const peer = await connectPeer(t, 0, { path } as object)
    await listener.close()
    await peer.untilEnded()
    await t.rejects(connectPeer(t, 0, { path } as object), { code: 'ENOENT' })
  })
}
