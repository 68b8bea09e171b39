import type { Connection } from 'c1m'
import { type Test, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const closed = { name: 'C1mError', code: 'ERR_C1M_CONNECTION_CLOSED' }

/** Checks that no method of the connection has an effect or throws. */
async function checkInert(t: Test, conn: Connection<unknown>, when: string): Promise<void> {
  t.equal(conn.closed, true, when)
  t.equal(conn.write('text'), false, when)
  t.equal(conn.write(Buffer.alloc(100_000)), false, when)
  t.equal(conn.write(''), false, when)
  t.equal(conn.end(), false, when)
  t.equal(conn.end('text'), false, when)
  t.equal(conn.pause(), false, when)
  t.equal(conn.resume(), false, when)
  t.equal(conn.setTimeout(1), false, when)
  t.equal(conn.destroy(), false, when)
  t.equal(conn.destroy(new Error('again')), false, when)
  t.equal(conn.reset(), false, when)
  t.equal(conn.writableLength, 0, when)
  await t.rejects(conn.setOptions({ noDelay: true }), closed, when)
  await t.rejects(conn.getOptions(), closed, when)
  await t.rejects(conn.tcpInfo(), closed, when)
}

const addresses = (conn: Connection<unknown>) => [
  conn.remoteAddress,
  conn.remotePort,
  conn.remoteFamily,
  conn.localAddress,
  conn.localPort,
  conn.localFamily,
]

const none = Array.from({ length: 6 }, () => undefined)

for (const trigger of TRIGGERS) {
  test(`after the peer's FIN and close methods have no effect, in close and afterwards (${trigger})`, async (t) => {
    const checks: Promise<void>[] = []
    const closes: unknown[][] = []
    let conn: Connection<string> | undefined
    const { port, reactor, listener } = await serve<string>(
      t,
      {
        open(opened) {
          conn = opened
          opened.data = 'mine'
        },
        close(gone, error) {
          closes.push([gone === conn, error, ...addresses(gone)])
          checks.push(checkInert(t, gone, 'in close'))
        },
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    const { localPort } = peer.socket
    peer.end()
    await until(() => closes.length === 1)
    await Promise.all(checks)
    t.strictSame(closes, [[true, undefined, '127.0.0.1', localPort, 'IPv4', '127.0.0.1', port, 'IPv4']])
    const gone = conn as Connection<string>
    await checkInert(t, gone, 'after close')
    t.strictSame(addresses(gone), none)
    t.equal(gone.data, 'mine')
    t.equal(gone.listener, listener)
    t.ok(Number.isSafeInteger(gone.id))
    t.equal(reactor.connections.has(gone.id), false)
    t.equal(reactor.connections.get(gone.id), undefined)
    await fence(reactor)
    t.equal(closes.length, 1)
  })
}

for (const how of ['destroy', 'reset'] as const) {
  test(`after ${how}() methods have no effect, and addresses are known until close`, async (t) => {
    let conn: Connection<unknown> | undefined
    let closes = 0
    const inClose: unknown[][] = []
    const { port, reactor } = await serve<unknown>(t, {
      open(opened) {
        conn = opened
      },
      close(gone) {
        closes++
        inClose.push(addresses(gone))
      },
    })
    const peer = await connectPeer(t, port)
    await until(() => conn !== undefined)
    const live = conn as Connection<unknown>
    const before = addresses(live)
    t.equal(before[1], peer.socket.localPort)
    t.equal(live[how](), true)
    const check = checkInert(t, live, `after ${how}()`)
    t.strictSame(addresses(live), before)
    t.equal(reactor.connections.has(live.id), true, 'it is there until close')
    await check
    await until(() => closes === 1)
    t.strictSame(inClose, [before])
    t.strictSame(addresses(live), none)
    t.equal(reactor.connections.has(live.id), false)
    await checkInert(t, live, 'after close')
    await peer.untilEnded()
    t.equal(peer.length, 0)
    t.equal(peer.error?.code, how === 'reset' ? 'ECONNRESET' : undefined)
    t.equal(closes, 1)
  })
}

test('after end() nothing more is written, but other methods work', async (t) => {
  let conn: Connection<unknown> | undefined
  let received = ''
  let closes = 0
  const { port } = await serve<unknown>(t, {
    open(opened) {
      conn = opened
    },
    data(_conn, chunk) {
      received += chunk.toString()
    },
    close: () => void closes++,
  })
  const peer = await connectPeer(t, port)
  await until(() => conn !== undefined)
  const live = conn as Connection<unknown>
  t.equal(live.end('bye'), true)
  t.equal(live.write('more'), false)
  t.equal(live.end('more'), false)
  t.equal(live.closed, false)
  await peer.untilEnded()
  t.equal(peer.text, 'bye')
  t.equal(live.pause(), true)
  t.equal(live.resume(), true)
  t.equal(live.setTimeout(0), true)
  t.ok((await live.tcpInfo()).rttMicros > 0)
  peer.write('still read')
  await until(() => received === 'still read')
  t.equal(live.destroy(), true)
  await until(() => closes === 1)
})

test('calls on a closed connection do not affect the next one in its slot', async (t) => {
  const conns: Connection<unknown>[] = []
  let closes = 0
  const { port, reactor } = await serve<unknown>(
    t,
    { open: (conn) => void conns.push(conn), close: () => void closes++ },
    {},
    // One slot, so that each connection gets the slot of the one before.
    { maxConnections: 1 },
  )
  const first = await connectPeer(t, port)
  first.end()
  await until(() => closes === 1)
  const second = await connectPeer(t, port)
  await until(() => conns.length === 2)
  const [stale, live] = conns as [Connection<unknown>, Connection<unknown>]
  t.not(stale.id, live.id)
  await checkInert(t, stale, 'with a successor')
  t.strictSame(addresses(stale), none)
  await fence(reactor)
  t.equal(live.closed, false)
  t.equal(live.paused, false)
  t.equal(second.length, 0)
  live.end('mine alone')
  await second.untilEnded()
  t.equal(second.text, 'mine alone')
})

test('a second close of a listener or shutdown of a reactor resolves', async (t) => {
  const { reactor, listener } = await serve(t, {})
  t.equal(listener.closed, false)
  const once = listener.close()
  t.equal(listener.closed, true)
  t.equal(listener.close(), once)
  await once
  t.equal(await listener.close(), undefined)
  const results = await Promise.all([reactor.shutdown(), reactor.shutdown()])
  t.strictSame(results, [
    { drained: 0, cut: 0 },
    { drained: 0, cut: 0 },
  ])
  t.equal(await listener.close(), undefined)
  t.equal(reactor.connections.size, 0)
  t.strictSame([...reactor.connections], [])
  t.equal(reactor.stats().connections, 0)
  t.equal(reactor.ref(), reactor)
  t.equal(reactor.unref(), reactor)
})
