import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { childProgram } from '../../fixtures/child.js'
import { until } from '../../fixtures/reactor.js'

const WORKERS = SANITIZED ? 12 : 20
const program = childProgram('handing-over-worker')

for (const how of ['adopt', 'detach']) {
  test(`a worker that is terminated in ${how}() leaves no socket behind`, async (t) => {
    const open = new Set<Socket>()
    const server = createServer((socket) => {
      open.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => open.delete(socket))
      socket.resume()
    })
    t.teardown(() => {
      for (const socket of open) socket.destroy()
      server.close()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    for (let i = 0; i < WORKERS; i++) {
      const worker = new Worker(program, { workerData: { how, port } })
      await once(worker, 'message')
      // Over the same range of moments, whatever their number.
      await sleep(15 + (20 * i) / WORKERS)
      await worker.terminate()
    }
    await until(() => open.size === 0, 'all sockets have closed')
    t.pass(`${WORKERS} workers`)
  })
}
