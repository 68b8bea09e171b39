import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import type { Connection } from 'c1m'
import { test } from 'tap'
import { endlessFile } from '../../fixtures/file.js'
import { openDescriptors } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, record, serve, turns, until } from '../../fixtures/reactor.js'

const gone = { code: 'ERR_C1M_CONNECTION_CLOSED' }

async function opened(t: Parameters<typeof serve>[0], log: string[]) {
  const conns: Connection[] = []
  const served = await serve<unknown>(t, record(log, { open: (conn) => conns.push(conn) }))
  const peer = await connectPeer(t, served.port)
  await until(() => conns.length === 1)
  return { ...served, peer, conn: conns[0] as Connection }
}

test('a second detach() rejects', async (t) => {
  const log: string[] = []
  const { conn, peer } = await opened(t, log)
  const first = conn.detach()
  await t.rejects(conn.detach(), gone)
  const socket = await first
  await t.rejects(conn.detach(), gone)
  socket.destroy()
  await peer.untilEnded()
  t.strictSame(log, ['open', 'close'])
})

test('detach() rejects for a connection that has just closed, whose events are delivered', async (t) => {
  const log: string[] = []
  const { conn, peer, reactor } = await opened(t, log)
  conn.end()
  await peer.untilEnded()
  await peer.endAndBlock(50)
  await t.rejects(conn.detach(), gone)
  await until(() => reactor.connections.size === 0 && log.includes('close'))
  t.match(log.at(-1), 'close')
})

test('a connection destroyed during detach() closes with that reason, and leaves nothing behind', async (t) => {
  const log: string[] = []
  const { conn, peer, reactor } = await opened(t, log)
  const before = openDescriptors()
  const detaching = t.rejects(conn.detach(), gone)
  t.equal(conn.destroy(new Error('changed my mind')), true)
  await detaching
  await peer.untilEnded()
  await until(() => reactor.stats().closed === 1 && openDescriptors() === before - 1)
  t.strictSame(log, ['open', 'close changed my mind'])
})

test('a shutdown during detach() counts the connection as drained', async (t) => {
  const log: string[] = []
  const { conn, reactor } = await opened(t, log)
  const detaching = conn.detach()
  const down = reactor.shutdown()
  const socket = await detaching
  t.strictSame(await down, { drained: 1, cut: 0 })
  t.equal(socket.destroyed, false)
  socket.destroy()
  await turns()
  t.strictSame(log, ['open', 'close'])
})

test('when detach() fails during a shutdown, the shutdown handler is called', async (t) => {
  const server = createServer((socket) => socket.pause()).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const reactor = makeReactor(t)
  const log: string[] = []
  const { port } = server.address() as AddressInfo
  const conn = await reactor.connect(
    { host: '127.0.0.1', port },
    {
      ...record(log),
      shutdown(conn) {
        log.push('shutdown')
        conn.destroy()
      },
    },
  )
  const sending = conn.sendFile(endlessFile(t)).catch(() => {})
  await until(() => reactor.stats().bytesWritten > 0)
  const detaching = t.rejects(conn.detach(), { code: 'EBUSY' })
  t.strictSame(await reactor.shutdown(), { drained: 1, cut: 0 })
  await Promise.all([detaching, sending])
  t.strictSame(log, ['open', 'shutdown', 'close'])
})
