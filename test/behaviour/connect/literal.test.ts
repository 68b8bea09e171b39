import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, Reactor } from 'c1m'
import { test } from 'tap'
import { hasIpv6 } from '../../fixtures/host.js'
import { block, makeReactor, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const noLookup = () => {
  throw new Error('a literal needs no lookup')
}

for (const trigger of TRIGGERS) {
  test(`${trigger}: two reactors exchange bytes`, async (t) => {
    const log: string[] = []
    const { port } = await serve(t, record(log, { data: (conn, chunk) => void conn.write(chunk) }), {}, { trigger })
    const client = makeReactor(t, { trigger })
    const clientLog: string[] = []
    const conn = await client.connect(
      { host: '127.0.0.1', port, lookup: noLookup },
      record(clientLog, { open: (opened) => void opened.write('hello'), data: (there) => void there.end() }),
    )
    t.equal(clientLog[0], 'open', 'open was called before the promise resolved')
    await until(() => clientLog.includes('close') && log.includes('close'))
    t.strictSame(clientLog, ['open', 'data hello', 'end', 'close'])
    t.strictSame(log, ['open', 'data hello', 'end', 'close'])
    t.equal(conn.closed, true)
    t.equal(client.stats().connected, 1)
    t.equal(client.stats().accepted, 0)
  })

  test(`${trigger}: a reactor that connects to itself knows both ends`, async (t) => {
    const accepted: Connection<undefined>[] = []
    const { reactor, listener, port } = await serve(t, { open: (conn) => void accepted.push(conn) }, {}, { trigger })
    const conn = await reactor.connect<string>({ host: '127.0.0.1', port, noDelay: true })
    await until(() => accepted.length === 1)
    t.equal(conn.data, undefined)
    t.equal(conn.listener, undefined)
    t.equal(accepted[0]?.listener, listener)
    t.strictSame([conn.remoteAddress, conn.remotePort, conn.remoteFamily], ['127.0.0.1', port, 'IPv4'])
    t.strictSame([conn.localAddress, conn.localPort], [accepted[0]?.remoteAddress, accepted[0]?.remotePort])
    t.equal(reactor.connections.get(conn.id), conn)
    t.equal(reactor.connections.size, 2)
    t.equal(listener.connections, 1)
    t.equal((await conn.getOptions()).noDelay, true)
    t.equal((await conn.tcpInfo()).state, 'established')
    conn.destroy()
    await until(() => reactor.connections.size === 0)
  })

  test(`${trigger}: open, data and end that wait for a blocked thread are delivered in order`, async (t) => {
    const { port } = await serve(t, { open: (conn) => void conn.end('welcome') }, {}, { trigger })
    const client = makeReactor(t, { trigger })
    const log: string[] = []
    const attempt = client.connect({ host: '127.0.0.1', port }, record(log))
    await sleep(1)
    // All events are ready before this thread runs a handler.
    block(100)
    await attempt
    await until(() => log.includes('close'))
    t.strictSame(log, ['open', 'data welcome', 'end', 'close'])
  })
}

test('connect() takes an IPv6 literal', { skip: !hasIpv6() }, async (t) => {
  const { reactor, port } = await serve(t, {}, { host: '::1' })
  const conn = await reactor.connect({ host: '::1', port, lookup: noLookup })
  t.strictSame([conn.remoteAddress, conn.remoteFamily, conn.localAddress], ['::1', 'IPv6', '::1'])
})

test('connect() has the options of connections: borrowed reads, an idle timeout, a write queue', async (t) => {
  const { reactor, port } = await serve(t, { open: (conn) => void conn.write('x') })
  const log: string[] = []
  const conn = await reactor.connect(
    { host: '127.0.0.1', port, read: 'borrowed', idleTimeoutMs: 30, highWaterMark: 10, maxWriteQueue: 1 << 20 },
    record(log),
  )
  t.equal(conn.write('more than ten bytes'), false)
  await until(() => log.some((line) => line.startsWith('close')))
  t.strictSame(log.toSorted(), ['close ERR_C1M_IDLE_TIMEOUT', 'data x', 'drain', 'open'])
})

test('an exception of an open handler is uncaught, and connect() still resolves', async (t) => {
  const { reactor, port } = await serve(t, {})
  const uncaught: unknown[] = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => uncaught.push(error))
  t.teardown(() => {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
  })
  const conn = await reactor.connect(
    { host: '127.0.0.1', port },
    {
      open() {
        throw new Error('in open')
      },
    },
  )
  t.equal(conn.closed, false)
  t.match(uncaught, [{ message: 'in open' }])
})

test('connect() rejects after a shutdown', async (t) => {
  const { port } = await serve(t, {})
  const reactor = new Reactor()
  await reactor.shutdown()
  await t.rejects(reactor.connect({ host: '127.0.0.1', port }), { code: 'ERR_C1M_REACTOR_CLOSED' })
})

test('a shutdown drains outgoing connections as well', async (t) => {
  const { port } = await serve(t, {})
  const reactor = new Reactor()
  const log: string[] = []
  await reactor.connect({ host: '127.0.0.1', port }, record(log))
  t.strictSame(await reactor.shutdown(), { drained: 1, cut: 0 })
  t.strictSame(log, ['open', 'end', 'close'])
})

test('thousands of connections can be made one after the other', async (t) => {
  const { reactor, port } = await serve(t, {})
  let closed = 0
  const handlers = { close: () => void closed++ }
  for (let i = 0; i < 2000; i++) {
    const conn = await reactor.connect({ host: '127.0.0.1', port }, handlers)
    conn.reset()
  }
  await until(() => closed === 2000 && reactor.connections.size === 0)
  t.equal(reactor.stats().connected, 2000)
})
