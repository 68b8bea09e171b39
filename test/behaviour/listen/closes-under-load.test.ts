import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { type Test, test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { childProgram } from '../../fixtures/child.js'
import { block, makeReactor, TRIGGERS, until } from '../../fixtures/reactor.js'

const ROUNDS = SANITIZED ? 80 : 150

/** Clients that connect, write, and go, over and over, from a thread of their own: this one may block. */
function startClients(t: Pick<Test, 'teardown'>, port: number): Worker {
  const workerData = { port, clients: 50 }
  const worker = new Worker(childProgram('coming-and-going'), { workerData })
  t.teardown(() => worker.terminate())
  return worker
}

for (const trigger of TRIGGERS) {
  test(`each connection that opens also closes, whenever its listener closes (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger })
    let opened = 0
    let closed = 0
    const handlers = {
      open: () => void opened++,
      data() {},
      close: () => void closed++,
    }
    let listener = await reactor.listen({ host: '127.0.0.1', port: 0 }, handlers)
    const port = listener.port as number
    const clients = startClients(t, port)
    await until(() => opened > 0)
    for (let round = 0; round < ROUNDS; round++) {
      // The reactor's thread accepts while this one is blocked, so that open and close come in one batch.
      block(round % 10)
      await listener.close()
      const before = opened
      await sleep(1)
      if (opened - before > 0) await until(() => listener.connections === 0, 'the end of its connections')
      listener = await reactor.listen({ host: '127.0.0.1', port }, handlers)
    }
    await clients.terminate()
    await until(() => reactor.connections.size === 0)
    t.ok(opened > 0)
    t.equal(opened, closed)
    t.equal(listener.connections, 0)
    const { accepted } = reactor.stats()
    t.equal(accepted, opened)
  })
}
