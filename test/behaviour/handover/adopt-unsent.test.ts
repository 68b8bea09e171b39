import { test } from 'tap'
import { netServer } from '../../fixtures/handover.js'
import { patternAt } from '../../fixtures/pattern.js'
import { fence, makeReactor, record, until } from '../../fixtures/reactor.js'

const CHUNK = 256 * 1024
const CHUNKS = 64

test('adopt() waits until the bytes written before are sent', async (t) => {
  const { accept } = await netServer(t)
  const { socket, peer } = await accept()
  peer.socket.pause()
  for (let i = 0; i < CHUNKS; i++) socket.write(patternAt(i * CHUNK, CHUNK))
  socket.cork()
  socket.write('corked ')
  t.ok(socket.writableLength > 1_000_000, 'more bytes than the kernel takes')
  const log: string[] = []
  const reactor = makeReactor(t)
  let settled = false
  const adopting = reactor.adopt(socket, record<undefined>(log)).finally(() => {
    settled = true
  })
  await peer.flush('meanwhile')
  await fence(reactor)
  t.equal(settled, false, 'adopt() waits')
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

test('while adopt() waits, a listener of the socket gets no bytes, but all of them if adopt() fails', async (t) => {
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
  t.equal(socket.destroyed, false, 'the socket continues')
  t.equal((socket as { allowHalfOpen?: boolean }).allowHalfOpen, false)
})

test('adopt() rejects if the peer resets while it waits', async (t) => {
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

test('a FIN while adopt() waits does not end the connection', async (t) => {
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
