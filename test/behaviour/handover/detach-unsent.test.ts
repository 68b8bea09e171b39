import type { Connection } from 'c1m'
import { test } from 'tap'
import { collect } from '../../fixtures/handover.js'
import { patternAt } from '../../fixtures/pattern.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, quiet, record, serve, until } from '../../fixtures/reactor.js'

const CHUNK = 128 * 1024
const CHUNKS = 100

async function opened(t: Parameters<typeof serve>[0], log: string[]) {
  const conns: Connection[] = []
  const { port, reactor } = await serve<unknown>(t, record(log, { open: (conn) => conns.push(conn) }), {
    maxWriteQueue: 2 ** 28,
    allowHalfOpen: true,
  })
  const peer = await connectPeer(t, port)
  await until(() => conns.length === 1)
  return { reactor, peer, conn: conns[0] as Connection }
}

test('a detached socket sends the unsent bytes, also to a peer that doesn’t read', async (t) => {
  const log: string[] = []
  const { peer, conn, reactor } = await opened(t, log)
  peer.socket.pause()
  // Large chunks are sent from the caller's memory, and small ones are copied: the queue has both.
  for (let i = 0; i < CHUNKS; i++) {
    conn.write(Buffer.from(patternAt(i * (CHUNK + 100), CHUNK)))
    conn.write(patternAt(i * (CHUNK + 100) + CHUNK, 100))
  }
  await quiet(reactor)
  const socket = await conn.detach()
  t.teardown(() => socket.destroy())
  t.strictSame(log, ['open', 'close'])
  socket.write('by net')
  t.ok(socket.writableLength > 1_000_000)
  peer.socket.resume()
  const total = CHUNKS * (CHUNK + 100)
  await peer.untilBytes(total + 6)
  const received = peer.received
  for (let at = 0; at < total; at += CHUNK) {
    const length = Math.min(CHUNK, total - at)
    if (!received.subarray(at, at + length).equals(patternAt(at, length))) t.fail(`bytes from ${at}`)
  }
  t.equal(received.subarray(total).toString(), 'by net')
  const seen = collect(socket)
  peer.end()
  await until(() => seen.ended)
})

test('an end() behind unsent bytes is executed by the detached socket', async (t) => {
  const { peer, conn } = await opened(t, [])
  peer.socket.pause()
  for (let i = 0; i < CHUNKS; i++) conn.write(Buffer.from(patternAt(i * CHUNK, CHUNK)))
  conn.end('last')
  const socket = await conn.detach()
  const seen = collect(socket)
  peer.socket.resume()
  await peer.untilEnded()
  t.equal(peer.length, CHUNKS * CHUNK + 4)
  t.equal(peer.received.subarray(-4).toString(), 'last')
  peer.end('and back')
  await until(() => seen.ended)
  t.equal(seen.text, 'and back')
  await peer.untilClosed()
})

test('a write immediately before detach() is sent', async (t) => {
  const { peer, conn } = await opened(t, [])
  conn.write('first ')
  const socket = await conn.detach()
  t.teardown(() => socket.destroy())
  socket.write('second')
  await peer.untilBytes(12)
  t.equal(peer.text, 'first second')
})

test('the error of a peer’s reset during detach() is reported once', async (t) => {
  const { peer, conn } = await opened(t, [])
  peer.socket.pause()
  for (let i = 0; i < CHUNKS; i++) conn.write(Buffer.from(patternAt(i * CHUNK, CHUNK)))
  const detaching = conn.detach()
  peer.reset()
  let code: string | undefined
  try {
    const socket = await detaching
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code
    })
    await until(() => socket.destroyed && code !== undefined)
  } catch (error) {
    code = (error as NodeJS.ErrnoException).code
  }
  t.match(code, /^(ECONNRESET|EPIPE|ERR_C1M_CONNECTION_CLOSED)$/)
})

test('a detached socket with a pending FIN can’t be adopted, and sends the FIN after the unsent bytes', async (t) => {
  const { peer, conn, reactor } = await opened(t, [])
  peer.socket.pause()
  for (let i = 0; i < CHUNKS; i++) conn.write(Buffer.from(patternAt(i * CHUNK, CHUNK)))
  conn.end()
  await quiet(reactor)
  const socket = await conn.detach()
  t.teardown(() => socket.destroy())
  await t.rejects(makeReactor(t).adopt(socket), { code: 'ERR_C1M_INVALID_ARG_VALUE', message: /ended/ })
  peer.socket.resume()
  await peer.untilEnded()
  t.equal(peer.length, CHUNKS * CHUNK)
  const seen = collect(socket)
  peer.end()
  await until(() => seen.ended)
})
