import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { test } from 'tap'
import { blackhole } from '../../fixtures/blackhole.js'
import { childProgram } from '../../fixtures/child.js'
import { openDescriptors, openThreads } from '../../fixtures/host.js'
import { serve, until } from '../../fixtures/reactor.js'

test('a worker that is terminated during its attempts leaves no descriptor', async (t) => {
  const hole = await blackhole(t)
  const { reactor, port } = await serve(t, {})
  const file = childProgram('connecting-worker')
  let before = { descriptors: 0, threads: 0 }
  for (let round = 0; round < 5; round++) {
    const worker = new Worker(file, { workerData: { port, hole } })
    await once(worker, 'message')
    await sleep(round)
    await worker.terminate()
    await until(() => reactor.connections.size === 0)
    if (round === 1) before = { descriptors: openDescriptors(), threads: openThreads() }
  }
  await until(() => openDescriptors() <= before.descriptors && openThreads() <= before.threads)
  t.ok(reactor.stats().accepted > 0)
})
