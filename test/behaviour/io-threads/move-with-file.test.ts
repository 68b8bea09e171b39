import { type Connection, relay } from 'c1m'
import { type Test, test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { endlessFile, temporaryFile } from '../../fixtures/file.js'
import { loads, move, type Thread, threadOf } from '../../fixtures/move.js'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { makeReactor, serve, TRIGGERS, until } from '../../fixtures/reactor.js'
import { connectPair, type Pair } from '../../fixtures/relay.js'

/** More than the kernel takes for a peer that doesn't read. */
const FILE_BYTES = 8 << 20

for (const trigger of TRIGGERS) {
  test(`a connection with a queued file is not moved, and continues (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger, ioThreads: 2 })
    const { a, b, peerA, logA } = await connectPair(t, { reactor, listen: { placement: 'round-robin' } })
    const [from, to] = [threadOf(a), threadOf(b)]
    peerA.socket.pause()
    const { path, content } = temporaryFile(t, FILE_BYTES)
    const sending = a.sendFile(path)
    t.equal(await move(a, to), false)
    t.equal(await move(a, to, () => false), false)
    t.equal(threadOf(a), from)
    await peerA.flush('read on')
    await until(() => logA.includes('data read on'))
    a.write('tail')
    peerA.socket.resume()
    t.equal(await sending, content.length)
    await peerA.untilBytes(content.length + 4)
    t.ok(peerA.received.equals(Buffer.concat([content, Buffer.from('tail')])))
    t.equal(await move(a, to), true, 'after the file')
    a.write('!')
    await peerA.untilBytes(content.length + 5)
  })

  test(`a file that is queued while a move reserves a slot prevents the move (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger, ioThreads: 2 })
    const { a, b, peerA } = await connectPair(t, { reactor, listen: { placement: 'round-robin' } })
    const from = threadOf(a)
    peerA.socket.pause()
    const moving = move(a, threadOf(b))
    const sending = a.sendFile(endlessFile(t))
    t.equal(await moving, false)
    t.equal(threadOf(a), from)
    a.destroy()
    await t.rejects(sending, { code: 'ERR_C1M_CONNECTION_CLOSED' })
  })

  test(`rebalance() skips connections with files, and resolves (${trigger})`, async (t) => {
    const conns: Connection[] = []
    const { reactor, port } = await serve<unknown>(
      t,
      { open: (conn) => void conns.push(conn as Connection) },
      { placement: 'source-hash' },
      { trigger, ioThreads: 2 },
    )
    const peers = await Promise.all(Array.from({ length: 8 }, () => connectPeer(t, port)))
    await until(() => conns.length === 8)
    for (const peer of peers.slice(0, 6)) peer.socket.pause()
    const file = endlessFile(t)
    const busy = new Set(peers.slice(0, 6).map((peer) => peer.port))
    const sending = conns.filter(({ remotePort }) => busy.has(remotePort as number)).map((conn) => conn.sendFile(file))
    await Promise.all(peers.slice(0, 6).map((peer) => until(() => peer.socket.readableLength > 0)))
    t.equal(await reactor.rebalance({ idleMs: 0 }), 2)
    t.strictSame(loads(reactor).sort(), [2, 6])
    for (const conn of conns) conn.destroy()
    t.equal((await Promise.allSettled(sending)).filter(({ status }) => status === 'rejected').length, 6)
  })

  const relayed = async (t: Test, options = {}): Promise<Pair & { readonly ended: ReturnType<typeof relay> }> => {
    const reactor = makeReactor(t, { trigger, ioThreads: 2 })
    const pair = await connectPair(t, { reactor, listen: { placement: 'round-robin' } })
    t.not(threadOf(pair.a), threadOf(pair.b))
    pair.peerB.socket.pause()
    pair.b.sendFile(endlessFile(t)).catch(() => {})
    await until(() => pair.peerB.socket.readableLength > 0)
    return { ...pair, ended: relay(pair.a, pair.b, options) }
  }
  const abort = new AbortController()
  const ends: [string, object, (pair: Pair) => unknown, RegExp][] = [
    ['destroy() of the source', {}, ({ a }) => a.destroy(), /destroyed/],
    ['destroy() of the sink', {}, ({ b }) => b.destroy(), /destroyed/],
    ['reset()', {}, ({ b }) => b.reset(), /destroyed/],
    ['the idle timeout', { idleTimeoutMs: 50 }, () => {}, /timeout/],
    ['the signal', { signal: abort.signal }, () => abort.abort(), /aborted/],
    ["a reset by the sink's peer", {}, ({ peerB }) => peerB.reset(), /error/],
    ["a reset by the source's peer", {}, ({ peerA }) => peerA.reset(), /error/],
    ['shutdown()', {}, ({ reactor }) => reactor.shutdown({ timeoutMs: 50 }), /destroyed/],
  ]
  for (const [what, options, act, reason] of ends) {
    test(`${what} ends a relay that waits for a file to be sent (${trigger})`, async (t) => {
      const pair = await relayed(t, options)
      await act(pair)
      t.match((await pair.ended).reason, reason)
      await until(
        () => pair.logA.at(-1)?.startsWith('close') === true && pair.logB.at(-1)?.startsWith('close') === true,
      )
      t.strictSame(await pair.reactor.shutdown({ timeoutMs: 1000 }), await pair.reactor.shutdown())
    })
  }

  test(`relay() over two threads starts after a queued file (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger, ioThreads: 2 })
    const { a, b, peerA, peerB } = await connectPair(t, { reactor, listen: { placement: 'round-robin' } })
    peerB.socket.pause()
    const { path, content } = temporaryFile(t, FILE_BYTES)
    const sending = b.sendFile(path)
    const ended = relay(a, b)
    await peerA.flush('from a')
    peerB.socket.resume()
    t.equal(await sending, content.length)
    await peerB.untilBytes(content.length + 6)
    // The move comes after the bytes that `data` was called with.
    await until(() => threadOf(a) === threadOf(b))
    peerA.end()
    peerB.end('from b')
    t.match(await ended, { bytesFromA: 6, bytesFromB: 6, reason: 'end' })
    await peerA.untilEnded()
    t.equal(peerA.text, 'from b')
    t.ok(peerB.received.equals(Buffer.concat([content, Buffer.from('from a')])))
  })
}

test('overlapping broadcasts don’t delay moves, and count each member once', async (t) => {
  const conns: Connection[] = []
  const peers: Peer[] = []
  const { reactor, port } = await serve<unknown>(
    t,
    { open: (conn) => void conns.push(conn as Connection), data: (conn, chunk) => void conn.write(chunk) },
    { placement: 'round-robin' },
    { ioThreads: 2 },
  )
  for (let i = 0; i < (SANITIZED ? 60 : 150); i++) peers.push(await connectPeer(t, port))
  await until(() => conns.length === peers.length)
  const room = reactor.createGroup<unknown>()
  for (const conn of conns) room.add(conn)
  let going = true
  let sent = 0
  const broadcast = async () => {
    while (going) {
      sent++
      const { reached, queued, cut } = await room.broadcast('x'.repeat(100))
      t.equal(reached + queued, conns.length)
      t.equal(cut, 0)
    }
  }
  // At any time at least one broadcast is in progress.
  const broadcasting = [broadcast(), broadcast(), broadcast()]
  const [one, two] = [...new Set(conns.map(threadOf))] as [Thread, Thread]
  for (const conn of conns) t.ok(await move(conn, threadOf(conn) === one ? two : one))
  going = false
  await Promise.all(broadcasting)
  await Promise.all(peers.map((peer) => peer.untilBytes(sent * 100)))
  t.ok(peers.every(({ length }) => length === sent * 100))
})
