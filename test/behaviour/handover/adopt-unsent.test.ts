import { test } from 'tap'
import { netServer } from '../../fixtures/handover.js'
import { patternAt } from '../../fixtures/pattern.js'
import { fence, makeReactor, record, until } from '../../fixtures/reactor.js'

const CHUNK = 256 * 1024
const CHUNKS = 64

test('what was written before is sent first, however long that takes', async (t) => {
  const { accept } = await netServer(t)
  const { socket, peer } = await accept()
  peer.socket.pause()
  for (let i = 0; i < CHUNKS; i++) socket.write(patternAt(i * CHUNK, CHUNK))
  socket.cork()
  socket.write('corked ')
  t.ok(socket.writableLength > 1_000_000, 'more than the kernel takes')
  const log: string[] = []
  const reactor = makeReactor(t)
  let settled = false
  const adopting = reactor.adopt(socket, record<undefined>(log)).finally(() => {
    settled = true
  })
  await peer.flush('meanwhile')
  await fence(reactor)
  t.equal(settled, false, 'it waits')
  t.strictSame(log, [])
  peer.socket.resume()
  const conn = await adopting
  conn.write('by c1m')
  const total = CHUNKS * CHUNK
  await peer.untilBytes(total + 13)
  const received = peer.received
  for (let i = 0; i < CHUNKS; i++) {
    if (!received.subarray(i * CHUNK, (i + 1) * CHUNK).equals(patternAt(i * CHUNK, CHUNK))) t.fail(`chunk ${i}`)
  }
  t.equal(received.subarray(total).toString(), 'corked by c1m')
  await until(() => log.length > 1)
  t.strictSame(log, ['open', 'data meanwhile'])
})

test('a listener of the socket gets nothing of what arrives meanwhile, and all of it if that fails', async (t) => {
  const { accept } = await netServer(t)
  const { socket, peer } = await accept()
  let seen = ''
  socket.on('data', (chunk) => {
    seen += chunk.toString()
  })
  peer.socket.pause()
  for (let i = 0; i < CHUNKS; i++) socket.write(patternAt(i * CHUNK, CHUNK))
  const reactor = makeReactor(t)
  const refused = t.rejects(reactor.adopt(socket), { code: 'ERR_C1M_REACTOR_CLOSED' })
  await peer.flush('waiting')
  await fence(reactor)
  t.equal(seen, '')
  await reactor.shutdown()
  peer.socket.resume()
  await refused
  await until(() => seen === 'waiting')
  t.equal(socket.destroyed, false, 'and it goes on as before')
  t.equal((socket as { allowHalfOpen?: boolean }).allowHalfOpen, false)
})

test('a peer that goes away meanwhile rejects', async (t) => {
  const { accept } = await netServer(t)
  const { socket, peer } = await accept()
  socket.on('error', () => {})
  peer.socket.pause()
  for (let i = 0; i < CHUNKS; i++) socket.write(patternAt(i * CHUNK, CHUNK))
  const reactor = makeReactor(t)
  const adopting = t.rejects(reactor.adopt(socket), { code: 'ERR_C1M_INVALID_ARG_VALUE', message: /closed before/ })
  peer.reset()
  await adopting
  t.equal(reactor.connections.size, 0)
})

test('a FIN that comes meanwhile does not end it', async (t) => {
  const { accept } = await netServer(t)
  const { socket, peer } = await accept()
  peer.socket.pause()
  for (let i = 0; i < CHUNKS; i++) socket.write(patternAt(i * CHUNK, CHUNK))
  const log: string[] = []
  const reactor = makeReactor(t)
  const adopting = reactor.adopt(socket, record<undefined>(log), { allowHalfOpen: true })
  peer.end()
  await fence(reactor)
  peer.socket.resume()
  const conn = await adopting
  await until(() => log.includes('end'))
  conn.end('bye')
  await peer.untilClosed()
  t.equal(peer.length, CHUNKS * CHUNK + 3)
})
