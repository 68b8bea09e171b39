import { test } from 'tap'
import { startChild } from '../../fixtures/child.js'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

async function connectUntilBothServed(t: Parameters<typeof connectPeer>[0], port: number): Promise<Set<string>> {
  const names = new Set<string>()
  const peers: Peer[] = []
  // The kernel distributes connections by a hash: 200 of them on one side are practically impossible.
  for (let i = 0; i < 200 && names.size < 2; i++) {
    const peer = await connectPeer(t, port)
    peers.push(peer)
    await peer.untilEnded()
    names.add(peer.text)
    peer.socket.destroy()
  }
  return names
}

test('two reactors can share a port', async (t) => {
  const options = { reusePort: true }
  const a = await serve(t, { open: (conn) => void conn.end('a') }, options)
  const b = await serve(t, { open: (conn) => void conn.end('b') }, { ...options, port: a.port })
  t.equal(b.port, a.port)
  t.strictSame(await connectUntilBothServed(t, a.port), new Set(['a', 'b']))
  await b.listener.close()
  const peer = await connectPeer(t, a.port)
  await peer.untilEnded()
  t.equal(peer.text, 'a')
})

test('two listeners of one reactor can share a port', async (t) => {
  const a = await serve(t, { open: (conn) => void conn.end('a') }, { reusePort: true })
  await serve(t, { open: (conn) => void conn.end('b') }, { reusePort: true, port: a.port }, a.reactor)
  t.strictSame(await connectUntilBothServed(t, a.port), new Set(['a', 'b']))
})

test('two processes can share a port', async (t) => {
  const { port } = await serve(t, { open: (conn) => void conn.end('parent') }, { reusePort: true })
  const child = startChild(t, 'shared-port', { args: [String(port)] })
  t.equal(await child.next(), port)
  t.strictSame(await connectUntilBothServed(t, port), new Set(['parent', 'child']))
  child.process.kill('SIGKILL')
  await child.untilExit()
  const peer = await connectPeer(t, port)
  await peer.untilEnded()
  t.equal(peer.text, 'parent')
})

test('a port is shared only if both have reusePort', async (t) => {
  const alone = await serve(t, {})
  await t.rejects(serve(t, {}, { port: alone.port, reusePort: true }), { code: 'EADDRINUSE' })
  const sharing = await serve(t, {}, { reusePort: true })
  await t.rejects(serve(t, {}, { port: sharing.port }), { code: 'EADDRINUSE' })
  await t.rejects(serve(t, {}, { port: sharing.port, exclusive: true }), { code: 'EADDRINUSE' })
  await serve(t, {}, { port: sharing.port, reusePort: true, exclusive: false })
})

test('listen() works at a port with connections in TIME_WAIT', async (t) => {
  const { reactor, port } = await serve(t, { open: (conn) => void conn.end('closed by the server') })
  const peer = await connectPeer(t, port)
  await peer.untilEnded()
  peer.end()
  await until(() => reactor.connections.size === 0)
  await reactor.shutdown()
  const again = await makeReactor(t).listen({ host: '127.0.0.1', port }, {})
  t.equal(again.port, port)
})
