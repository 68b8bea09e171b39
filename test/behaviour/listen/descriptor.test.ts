import { once } from 'node:events'
import { closeSync, existsSync, openSync, unlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { built } from '../../fixtures/built.js'
import { openDescriptors } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, makeReactor, until } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

/** Opens a listening socket from which no code accepts, as systemd hands one over. */
function listeningSocket(t: Pick<Test, 'teardown'>, where: { host: string } | { path: string }): number {
  type Open = (spec: object) => { fd: number }
  const { openListeningSocket } = built<{ openListeningSocket: Open }>('native/binding')
  const { fd } = openListeningSocket({ port: 0, backlog: 16, settings: [], ...where })
  t.teardown(() => closeSync(fd))
  return fd
}

test('listen() accepts from a given descriptor, with options', async (t) => {
  const fd = listeningSocket(t, { host: '127.0.0.1' })
  const reactor = makeReactor(t)
  const adopted = await reactor.listen({ fd, noDelay: true }, { open: (conn) => void conn.end('ours') })
  t.match(adopted.address(), { address: '127.0.0.1', family: 'IPv4' })
  t.equal(adopted.options.noDelay, true)
  const peer = await connectPeer(t, adopted.port as number)
  await peer.untilEnded()
  t.equal(peer.text, 'ours')
})

test('clients in the queue of a descriptor are served by the next reactor', async (t) => {
  const fd = listeningSocket(t, { host: '127.0.0.1' })
  const full = makeReactor(t, { maxConnections: 1 })
  const { port } = await full.listen({ fd }, {})
  await connectPeer(t, port as number)
  await until(() => full.connections.size === 1)
  const waiting = await connectPeer(t, port as number)
  await full.shutdown({ timeoutMs: 0 })
  await makeReactor(t).listen({ fd }, { open: (conn) => void conn.end('next') })
  await waiting.untilEnded()
  t.equal(waiting.text, 'next')
})

test('several I/O threads can serve one descriptor', async (t) => {
  const fd = listeningSocket(t, { host: '127.0.0.1' })
  const reactor = makeReactor(t, { ioThreads: 2 })
  const { port } = await reactor.listen({ fd }, {})
  for (let i = 0; i < 4; i++) await connectPeer(t, port as number)
  await until(() => reactor.connections.size === 4)
  t.strictSame(
    reactor.stats().ioThreads.map(({ connections }) => connections),
    [2, 2],
  )
})

test('the file of a given Unix descriptor is not removed', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  const fd = listeningSocket(t, { path })
  const listener = await makeReactor(t).listen({ fd }, {})
  t.equal(listener.address(), path)
  await listener.close()
  t.ok(existsSync(path))
  unlinkSync(path)
})

test('listen() rejects a descriptor that doesn’t listen', async (t) => {
  const reactor = makeReactor(t)
  const file = openSync('/dev/null', 'r')
  t.teardown(() => closeSync(file))
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const peer = await connectPeer(t, (server.address() as { port: number }).port)
  const connected = (peer.socket as unknown as { _handle: { fd: number } })._handle.fd
  // An I/O thread opens its reserve descriptor with its first listener, and listeners alternate between the threads.
  for (let i = 0; i < 2; i++) await t.rejects(reactor.listen({ fd: file }))
  const before = openDescriptors()
  await t.rejects(reactor.listen({ fd: file }), { code: 'ENOTSOCK', syscall: 'listen' })
  await t.rejects(reactor.listen({ fd: connected }), { code: 'EINVAL', syscall: 'listen' })
  await t.rejects(reactor.listen({ fd: 1_000_000 }), { code: 'EBADF', syscall: 'listen' })
  await fence(reactor)
  t.equal(openDescriptors(), before)
})
