import { test } from 'tap'
import { netServer, socketHandles } from '../../fixtures/handover.js'
import { openDescriptors } from '../../fixtures/host.js'
import { makeReactor, record, until } from '../../fixtures/reactor.js'

test('adopting a thousand sockets and detaching half of them leaves no handle and no descriptor', async (t) => {
  const { accept } = await netServer(t)
  const reactor = makeReactor(t)
  const log: string[] = []
  const handlers = record<undefined>(log)
  const handles = socketHandles()
  const before = openDescriptors()
  for (let round = 0; round < 10; round++) {
    const all: Awaited<ReturnType<typeof accept>>[] = []
    for (let i = 0; i < 100; i++) all.push(await accept())
    const conns = await Promise.all(all.map(({ socket }) => reactor.adopt(socket, handlers)))
    const back = await Promise.all(conns.map((conn, i) => (i % 2 === 0 ? conn.detach() : undefined)))
    for (const conn of conns) conn.destroy()
    for (const socket of back) socket?.destroy()
    await Promise.all(all.map(({ peer }) => peer.untilEnded()))
    for (const { peer } of all) peer.socket.destroy()
  }
  await until(() => reactor.stats().closed === 1000)
  await until(() => openDescriptors() === before, 'as many descriptors as before')
  await until(() => socketHandles() === handles, 'as many handles as before')
  t.equal(reactor.connections.size, 0)
  t.equal(log.filter((line) => line === 'open').length, 1000)
  t.equal(log.filter((line) => line === 'close').length, 1000)
})
