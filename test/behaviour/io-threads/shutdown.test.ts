import { readdirSync, readFileSync } from 'node:fs'
import type { Placement } from 'c1m'
import { test } from 'tap'
import { openDescriptors } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, until } from '../../fixtures/reactor.js'

const ioThreads = () =>
  readdirSync('/proc/self/task').filter((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').startsWith('c1m-io-')
    } catch {
      return false
    }
  }).length

for (const placement of ['least-connections', 'reuse-port'] as const satisfies readonly Placement[]) {
  test(`shutdown() ends all threads, and each accepted connection has opened and closed (${placement})`, async (t) => {
    const first = await makeReactor(t).listen({ port: 0 })
    await connectPeer(t, first.port as number)
    await until(() => first.connections === 1)
    const before = openDescriptors()
    const threads = ioThreads()
    let opened = 0
    let closed = 0
    for (let round = 0; round < 5; round++) {
      const reactor = makeReactor(t, { ioThreads: 4 })
      const { port } = await reactor.listen(
        { host: '127.0.0.1', port: 0, placement },
        { open: () => void opened++, close: () => void closed++ },
      )
      const peers = await Promise.all(Array.from({ length: 50 }, () => connectPeer(t, port as number)))
      for (const peer of peers) peer.socket.on('end', () => peer.end())
      // Some connections are still being handed over between threads, or in the kernel's queue.
      await reactor.shutdown()
      t.equal(opened, closed)
      t.equal(reactor.connections.size, 0)
      await Promise.all(peers.map((peer) => peer.untilClosed()))
    }
    await until(() => ioThreads() === threads)
    await until(() => openDescriptors() <= before)
    t.ok(opened > 0)
  })
}
