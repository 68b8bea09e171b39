import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, Reactor } from 'c1m'
import { test } from 'tap'
import { hasIpv6 } from '../../fixtures/host.js'
import { block, makeReactor, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const noLookup = () => {
  throw new Error('a literal needs no lookup')
}

for (const trigger of TRIGGERS) {
  test(`${trigger}: two reactors talk to each other`, async (t) => {
    const log: string[] = []
    const { port } = await serve(t, record(log, { data: (conn, chunk) => void conn.write(chunk) }), {}, { trigger })
    const client = makeReactor(t, { trigger })
    const heard: string[] = []
    const conn = await client.connect(
      { host: '127.0.0.1', port, lookup: noLookup },
      record(heard, { open: (opened) => void opened.write('hello'), data: (there) => void there.end() }),
    )
    t.equal(heard[0], 'open', 'open was called before the promise resolved')
    await until(() => heard.includes('close') && log.includes('close'))
    t.strictSame(heard, ['open', 'data hello', 'end', 'close'])
    t.strictSame(log, ['open', 'data hello', 'end', 'close'])
    t.equal(conn.closed, true)
    t.equal(client.stats().connected, 1)
    t.equal(client.stats().accepted, 0)
  })

  test(`${trigger}: a reactor talks to itself, and knows both ends`, async (t) => {
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

  test(`${trigger}: what the server sends at once, and its end, come in order`, async (t) => {
    const { port } = await serve(t, { open: (conn) => void conn.end('welcome') }, {}, { trigger })
    const client = makeReactor(t, { trigger })
    const heard: string[] = []
    const attempt = client.connect({ host: '127.0.0.1', port }, record(heard))
    await sleep(1)
    // Everything is there before this thread hears of anything.
    block(100)
    await attempt
    await until(() => heard.includes('close'))
    t.strictSame(heard, ['open', 'data welcome', 'end', 'close'])
  })
}

test('IPv6', { skip: !hasIpv6() }, async (t) => {
  const { reactor, port } = await serve(t, {}, { host: '::1' })
  const conn = await reactor.connect({ host: '::1', port, lookup: noLookup })
  t.strictSame([conn.remoteAddress, conn.remoteFamily, conn.localAddress], ['::1', 'IPv6', '::1'])
})

test('borrowed reads, an idle timeout and a write queue of its own', async (t) => {
  const { reactor, port } = await serve(t, { open: (conn) => void conn.write('x') })
  const heard: string[] = []
  const conn = await reactor.connect(
    { host: '127.0.0.1', port, read: 'borrowed', idleTimeoutMs: 30, highWaterMark: 10, maxWriteQueue: 1 << 20 },
    record(heard),
  )
  t.equal(conn.write('more than ten bytes'), false)
  await until(() => heard.some((line) => line.startsWith('close')))
  t.strictSame(heard.toSorted(), ['close ERR_C1M_IDLE_TIMEOUT', 'data x', 'drain', 'open'])
})

test('a handler that throws in open is an uncaught exception, and the connection is there', async (t) => {
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

test('after a shutdown there are no new connections', async (t) => {
  const { port } = await serve(t, {})
  const reactor = new Reactor()
  await reactor.shutdown()
  await t.rejects(reactor.connect({ host: '127.0.0.1', port }), { code: 'ERR_C1M_REACTOR_CLOSED' })
})

test('a connection drains in a shutdown as others do', async (t) => {
  const { port } = await serve(t, {})
  const reactor = new Reactor()
  const heard: string[] = []
  await reactor.connect({ host: '127.0.0.1', port }, record(heard))
  t.strictSame(await reactor.shutdown(), { drained: 1, cut: 0 })
  t.strictSame(heard, ['open', 'end', 'close'])
})

test('thousands of connections one after the other', async (t) => {
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
