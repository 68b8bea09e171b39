import { once } from 'node:events'
import { connect as connectNet, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Placement, Reactor } from 'c1m'
import { type Test, test } from 'tap'
import { freePort } from '../../fixtures/port.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const THREADS = 4
const EVERY: readonly Placement[] = ['least-connections', 'round-robin', 'source-hash', 'reuse-port', 'cpu']

const echo = {
  data(conn: { write(chunk: Buffer): boolean }, chunk: Buffer) {
    conn.write(chunk)
  },
}

const perThread = (reactor: Reactor) => reactor.stats().ioThreads.map(({ connections }) => connections)

/** Connects clients from `sources` addresses, and waits for the echo of each. */
async function clients(t: Pick<Test, 'teardown'>, port: number, count: number, sources = 1): Promise<Socket[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const socket = connectNet({ port, host: '127.0.0.1', localAddress: `127.0.0.${2 + (at % sources)}` })
      t.teardown(() => socket.destroy())
      socket.write(`client ${at}`)
      const [answer] = await once(socket, 'data')
      if (String(answer) !== `client ${at}`) throw new Error(`client ${at} got ${answer}`)
      return socket
    }),
  )
}

for (const placement of EVERY) {
  test(`${placement}: all connections are served, and in the map with unique ids`, async (t) => {
    const { reactor, listener, port } = await serve(
      t,
      echo,
      { port: await freePort(), placement },
      { ioThreads: THREADS },
    )
    const sockets = await clients(t, port, 100, 50)
    t.equal(reactor.connections.size, 100)
    t.equal(listener.connections, 100)
    t.equal(new Set(reactor.connections.ids()).size, 100)
    for (const id of reactor.connections.ids()) t.equal(reactor.connections.get(id)?.id, id)
    const counts = perThread(reactor)
    t.equal(
      counts.reduce((sum, count) => sum + count),
      100,
    )
    if (placement === 'least-connections' || placement === 'round-robin') t.strictSame(counts, [25, 25, 25, 25])
    for (const socket of sockets) socket.end()
    await until(() => reactor.connections.size === 0)
    t.equal(listener.connections, 0)
    await listener.close()
    await t.rejects(once(connectNet({ port, host: '127.0.0.1' }), 'connect'), { code: 'ECONNREFUSED' })
  })
}

test('least-connections: a thread whose connections have closed gets new ones', async (t) => {
  const { reactor, port } = await serve(t, { open() {}, ...echo }, {}, { ioThreads: THREADS })
  await clients(t, port, 40)
  const onOne = [...reactor.connections.values()].filter(({ id }) => Math.floor((id % 2 ** 30) / 2 ** 24) === 1)
  t.equal(onOne.length, 10)
  for (const conn of onOne) conn.destroy()
  await until(() => reactor.stats().closed === 10)
  await clients(t, port, 10)
  t.strictSame(perThread(reactor), [10, 10, 10, 10])
})

test('source-hash: connections of one source are on one thread, those of many on all', async (t) => {
  const { reactor, port } = await serve(t, echo, { placement: 'source-hash' }, { ioThreads: THREADS })
  await clients(t, port, 20)
  t.strictSame(perThread(reactor).sort(), [0, 0, 0, 20])
  await clients(t, port, 200, 200)
  t.ok(perThread(reactor).every((count) => count > 0))
})

test('connections of a Unix socket are distributed as well', async (t) => {
  const reactor = makeReactor(t, { ioThreads: THREADS })
  const path = join(temporaryDirectory(t), 'socket')
  await reactor.listen({ path, placement: 'source-hash' }, echo)
  for (let i = 0; i < 8; i++) {
    const socket = connectNet(path)
    t.teardown(() => socket.destroy())
    socket.write('x')
    await once(socket, 'data')
  }
  t.strictSame(perThread(reactor), [2, 2, 2, 2])
})

test('outgoing connections go to the threads with the fewest, also many at the same time', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const reactor = makeReactor(t, { ioThreads: THREADS })
  await Promise.all(Array.from({ length: 40 }, () => reactor.connect({ host: '127.0.0.1', port })))
  t.strictSame(perThread(reactor), [10, 10, 10, 10])
})

for (const placement of ['reuse-port', 'cpu'] as const) {
  test(`${placement}: a port can't be shared with another listener`, async (t) => {
    const reactor = makeReactor(t, { ioThreads: THREADS })
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    await t.rejects(reactor.listen({ host: '127.0.0.1', port, placement }), { code: 'EADDRINUSE' })
    server.close()
    await once(server, 'close')
    const listener = await reactor.listen({ host: '127.0.0.1', port, placement }, echo)
    await t.rejects(makeReactor(t).listen({ host: '127.0.0.1', port }), { code: 'EADDRINUSE' })
    const second = makeReactor(t, { ioThreads: THREADS })
    await t.rejects(second.listen({ host: '127.0.0.1', port, placement }), { code: 'EADDRINUSE' })
    await clients(t, port, 10)
    await listener.close()
    await second.listen({ host: '127.0.0.1', port, placement }, echo)
    await clients(t, port, 10)
    t.equal(second.connections.size, 10)
  })
}
