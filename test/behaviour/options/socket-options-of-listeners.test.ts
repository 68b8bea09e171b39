import type { AppliedSocketOptions, Connection, ListenSettings } from 'c1m'
import { type Test, test } from 'tap'
import { hasIpv6, kernelSetting } from '../../fixtures/host.js'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { fence, makeReactor, serve, until } from '../../fixtures/reactor.js'

interface Read {
  readonly listener: AppliedSocketOptions
  readonly connection: AppliedSocketOptions
  readonly conn: Connection<undefined>
  readonly peer: Peer
}

/** Listens with these options, and reads them back from the listener and from a connection. */
async function read(t: Test, options: ListenSettings, host = '127.0.0.1'): Promise<Read> {
  const conns: Connection<undefined>[] = []
  const { listener, port } = await serve(t, { open: (conn) => void conns.push(conn), data() {} }, { host, ...options })
  const peer = await connectPeer(t, port, { host })
  peer.write('!')
  await until(() => conns.length === 1)
  const [conn] = conns as [Connection<undefined>]
  return { listener: listener.options, connection: await conn.getOptions(), conn, peer }
}

test('socket options have the system’s defaults', async (t) => {
  const { listener, connection } = await read(t, {})
  const defaults = {
    noDelay: false,
    keepAlive: false,
    userTimeoutMs: 0,
    lingerMs: false,
    ipTos: 0,
    notSentLowAtBytes: 0,
  }
  t.match(listener, { ...defaults, deferAcceptMs: 0, fastOpen: false })
  t.match(connection, defaults)
  t.equal(listener.congestion, kernelSetting('net/ipv4/tcp_congestion_control'))
  t.equal(connection.congestion, listener.congestion)
  // An option exists only where it has a meaning.
  t.notOk('quickAck' in listener)
  t.equal(typeof connection.quickAck, 'boolean')
  t.notOk('deferAcceptMs' in connection || 'fastOpen' in connection)
})

test('connections have the options of their listener', async (t) => {
  const { listener, connection } = await read(t, {
    noDelay: true,
    keepAlive: { idleMs: 30_000, intervalMs: 5000, count: 3 },
    userTimeoutMs: 20_000,
    congestion: 'reno',
    notSentLowAtBytes: 16_384,
    ipTos: 0xb8,
    lingerMs: 0,
  })
  const expected = {
    noDelay: true,
    keepAlive: { idleMs: 30_000, intervalMs: 5000, count: 3 },
    userTimeoutMs: 20_000,
    congestion: 'reno',
    notSentLowAtBytes: 16_384,
    ipTos: 0xb8,
    lingerMs: 0,
  }
  t.match(listener, expected)
  t.match(connection, expected)
})

test('options are read back as the kernel has rounded and limited them', async (t) => {
  const { listener, connection } = await read(t, {
    keepAlive: { idleMs: 1500, intervalMs: 1, count: 1 },
    receiveBufferBytes: 20_000,
    sendBufferBytes: 30_000,
    deferAcceptMs: 1,
  })
  // Seconds are rounded up, so that a requested keepalive is never 0.
  t.strictSame(connection.keepAlive, { idleMs: 2000, intervalMs: 1000, count: 1 })
  // Linux doubles buffers for its own overhead.
  t.equal(listener.receiveBufferBytes, 40_000)
  t.equal(listener.sendBufferBytes, 60_000)
  t.equal(connection.receiveBufferBytes, 40_000)
  t.equal(connection.sendBufferBytes, 60_000)
  t.equal(listener.deferAcceptMs, 1000)

  const most = Number(kernelSetting('net/core/rmem_max'))
  const capped = await read(t, { receiveBufferBytes: 2 ** 30 - 1 })
  t.equal(capped.listener.receiveBufferBytes, 2 * most)
})

test('keepAlive: true uses the system’s times, and false switches it off', async (t) => {
  const { connection } = await read(t, { keepAlive: true })
  t.strictSame(connection.keepAlive, {
    idleMs: 1000 * Number(kernelSetting('net/ipv4/tcp_keepalive_time')),
    intervalMs: 1000 * Number(kernelSetting('net/ipv4/tcp_keepalive_intvl')),
    count: Number(kernelSetting('net/ipv4/tcp_keepalive_probes')),
  })
  t.equal((await read(t, { keepAlive: false })).connection.keepAlive, false)
})

test('keepAlive may have any of its times', async (t) => {
  const { connection } = await read(t, { keepAlive: { count: 4 } })
  t.match(connection.keepAlive, { count: 4, idleMs: 1000 * Number(kernelSetting('net/ipv4/tcp_keepalive_time')) })
})

test('quickAck is set on each connection', async (t) => {
  const { connection } = await read(t, { quickAck: false })
  t.equal(connection.quickAck, false)
})

test('ipTos is the traffic class on IPv6', { skip: hasIpv6() ? false : 'no IPv6 on this machine' }, async (t) => {
  const { listener, connection } = await read(t, { ipTos: 0x48 }, '::1')
  t.equal(listener.ipTos, 0x48)
  t.equal(connection.ipTos, 0x48)
})

test('incomingCpu is read back', async (t) => {
  t.equal((await read(t, { incomingCpu: 0 })).listener.incomingCpu, 0)
})

test('with deferAcceptMs a connection opens with its first bytes', async (t) => {
  const log: string[] = []
  const { port, reactor } = await serve(
    t,
    { open: () => void log.push('open'), data: (_conn, chunk) => void log.push(chunk.toString()) },
    { deferAcceptMs: 60_000 },
  )
  const silent = await connectPeer(t, port)
  const peer = await connectPeer(t, port)
  await fence(reactor)
  t.strictSame(log, [])
  peer.write('hello')
  await until(() => log.length === 2)
  t.strictSame(log, ['open', 'hello'])
  t.equal(silent.closed, false)
})

test('fastOpen of a listener is the length of its queue', async (t) => {
  t.equal((await read(t, { fastOpen: true })).listener.fastOpen, 1024)
  t.equal((await read(t, { fastOpen: 7 })).listener.fastOpen, 7)
  t.equal((await read(t, { fastOpen: false })).listener.fastOpen, false)
  t.equal((await read(t, { fastOpen: 0 })).listener.fastOpen, false)
})

test('lingerMs: 0 resets on every close', async (t) => {
  const { conn, peer } = await read(t, { lingerMs: 0 })
  conn.destroy()
  await peer.untilClosed()
  t.equal(peer.error?.code, 'ECONNRESET')
})

const mptcp = kernelSetting('net/mptcp/enabled') === '1'

test('protocol: mptcp serves plain TCP clients', { skip: mptcp ? false : 'no Multipath TCP' }, async (t) => {
  const { listener, connection, conn } = await read(t, { protocol: 'mptcp', noDelay: true, keepAlive: true })
  t.equal(listener.noDelay, true)
  t.match(connection, { noDelay: true, keepAlive: { count: Number } })
  t.ok((await conn.tcpInfo()).rttMicros > 0)
})

test('without Multipath TCP the option rejects', { skip: mptcp ? 'the kernel has it' : false }, async (t) => {
  await t.rejects(makeReactor(t).listen({ port: 0, protocol: 'mptcp' }, {}), {
    code: 'ERR_C1M_UNSUPPORTED_OPTION',
    message: /"protocol"/,
  })
})
