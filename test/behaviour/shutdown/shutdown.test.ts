import type { Connection, ShutdownResult } from 'c1m'
import { test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { freePort } from '../../fixtures/port.js'
import { fence, makeReactor, serve, until } from '../../fixtures/reactor.js'

/** A deadline that no test reaches, yet shorter than the limit for a hanging test. */
const LONG = 15_000

/** Makes the peer reply to a FIN with its own, as most do. */
function closesOnFin(peer: Peer): Peer {
  peer.socket.on('end', () => peer.socket.end())
  return peer
}

test('shutdown() ends each connection, and resolves when all have closed', async (t) => {
  const errors: unknown[] = []
  const { reactor, port } = await serve(t, { close: (_conn, error) => void errors.push(error) })
  const peers: Peer[] = []
  for (let i = 0; i < 5; i++) peers.push(closesOnFin(await connectPeer(t, port)))
  await until(() => reactor.connections.size === 5)
  const start = Date.now()
  t.strictSame(await reactor.shutdown({ timeoutMs: LONG }), { drained: 5, cut: 0 })
  t.ok(Date.now() - start < LONG - 1000, 'shutdown() did not wait for its deadline')
  t.strictSame(errors, [undefined, undefined, undefined, undefined, undefined])
  await Promise.all(peers.map((peer) => peer.untilClosed()))
  t.strictSame(
    peers.map((peer) => peer.error),
    [undefined, undefined, undefined, undefined, undefined],
  )
})

test('shutdown() sends queued bytes first', async (t) => {
  const text = 'x'.repeat(3_000_000)
  let conn: Connection<undefined> | undefined
  const { reactor, port } = await serve(t, {
    open(opened) {
      conn = opened
    },
  })
  const peer = closesOnFin(await connectPeer(t, port))
  await until(() => conn !== undefined)
  conn?.write(text)
  t.strictSame(await reactor.shutdown({ timeoutMs: LONG }), { drained: 1, cut: 0 })
  await peer.untilClosed()
  t.equal(peer.length, text.length)
})

test('a shutdown handler may exchange messages before the end', async (t) => {
  const log: string[] = []
  const { reactor, port } = await serve(t, {
    data(conn, chunk) {
      log.push(chunk.toString())
      conn.end()
    },
    shutdown(conn) {
      log.push('shutdown')
      conn.write('bye?')
    },
    close: (_conn, error) => void log.push(error === undefined ? 'close' : 'error'),
  })
  const peer = closesOnFin(await connectPeer(t, port))
  await until(() => reactor.connections.size === 1)
  const result = reactor.shutdown({ timeoutMs: LONG })
  await peer.untilBytes(4)
  t.equal(peer.text, 'bye?')
  peer.write('bye!')
  t.strictSame(await result, { drained: 1, cut: 0 })
  t.strictSame(log, ['shutdown', 'bye!', 'close'])
})

test('shutdown() cuts the remaining connections at its deadline', async (t) => {
  const errors: (Error | undefined)[] = []
  const { reactor, port } = await serve(t, { close: (_conn, error) => void errors.push(error) })
  const willing = closesOnFin(await connectPeer(t, port))
  const stubborn = [await connectPeer(t, port), await connectPeer(t, port)]
  await until(() => reactor.connections.size === 3)
  const start = Date.now()
  t.strictSame(await reactor.shutdown({ timeoutMs: 200 }), { drained: 1, cut: 2 })
  t.ok(Date.now() - start >= 195)
  await willing.untilClosed()
  t.equal(errors[0], undefined)
  t.match(errors.slice(1), [
    { name: 'C1mError', code: 'ERR_C1M_SHUTDOWN' },
    { name: 'C1mError', code: 'ERR_C1M_SHUTDOWN' },
  ])
  for (const peer of stubborn) await peer.untilEnded()
})

test('a deadline of 0 cuts immediately, without calling shutdown handlers', async (t) => {
  const log: string[] = []
  const { reactor, port } = await serve(t, {
    shutdown: () => void log.push('shutdown'),
    close: (_conn, error) => void log.push(error?.code ?? 'close'),
  })
  for (let i = 0; i < 3; i++) closesOnFin(await connectPeer(t, port))
  await until(() => reactor.connections.size === 3)
  t.strictSame(await reactor.shutdown({ timeoutMs: 0 }), { drained: 0, cut: 3 })
  t.strictSame(log, ['ERR_C1M_SHUTDOWN', 'ERR_C1M_SHUTDOWN', 'ERR_C1M_SHUTDOWN'])
  t.equal(reactor.connections.size, 0)
})

test('when shutdown() resolves, all closes have been delivered, also those of paused connections', async (t) => {
  let closes = 0
  const { reactor, port } = await serve(t, {
    open(conn) {
      conn.pause()
    },
    close: () => void closes++,
  })
  const peer = await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  peer.end('never read')
  await fence(reactor)
  t.strictSame(await reactor.shutdown({ timeoutMs: 100 }), { drained: 0, cut: 1 })
  t.equal(closes, 1)
})

test('a second shutdown() resolves with the same result, at the first deadline', async (t) => {
  const { reactor, port } = await serve(t, {})
  await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  const first = reactor.shutdown({ timeoutMs: 100 })
  const second = reactor.shutdown({ timeoutMs: LONG })
  t.strictSame(await first, { drained: 0, cut: 1 })
  t.equal(await second, await first)
  t.equal(await reactor.shutdown(), await first)
})

test('clients are refused during a shutdown', async (t) => {
  const { reactor, port } = await serve(t, {}, { port: await freePort() })
  const stubborn = await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  const result = reactor.shutdown({ timeoutMs: LONG })
  await stubborn.untilEnded()
  await t.rejects(connectPeer(t, port), { code: 'ECONNREFUSED' })
  stubborn.end()
  t.strictSame(await result, { drained: 1, cut: 0 })
})

for (const name of ['open', 'data', 'end', 'close', 'shutdown'] as const) {
  test(`shutdown may be called in ${name}`, async (t) => {
    for (const timeoutMs of [0, 200]) {
      const results: Promise<ShutdownResult>[] = []
      let closes = 0
      const reactor = makeReactor(t)
      const stop = () => void results.push(reactor.shutdown({ timeoutMs }))
      const close = () => {
        closes++
        if (name === 'close') stop()
      }
      const { port } = await serve(t, { data() {}, [name]: stop, close }, {}, reactor)
      const peer = await connectPeer(t, port)
      peer.write('hello')
      peer.end()
      if (name === 'shutdown') results.push(reactor.shutdown({ timeoutMs: LONG }))
      await until(() => results.length > 0, 'shutdown')
      const { drained, cut } = (await results[0]) as ShutdownResult
      t.ok(drained + cut <= 1)
      t.equal(reactor.connections.size, 0, `with ${timeoutMs} ms`)
      t.ok(closes <= 1)
    }
  })
}

test('a reactor that was never used shuts down', async (t) => {
  t.strictSame(await makeReactor(t).shutdown(), { drained: 0, cut: 0 })
})

test('connections of a listener that was closed before are drained as well', async (t) => {
  const { reactor, listener, port } = await serve(t, {})
  const peer = closesOnFin(await connectPeer(t, port))
  await until(() => reactor.connections.size === 1)
  await listener.close()
  t.strictSame(await reactor.shutdown({ timeoutMs: LONG }), { drained: 1, cut: 0 })
  await peer.untilClosed()
})
