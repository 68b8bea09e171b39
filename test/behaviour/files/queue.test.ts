import { ftruncateSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Connection } from 'c1m'
import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { onePair, temporaryFile } from '../../fixtures/file.js'
import { openDescriptors } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { quiet, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const MIB = 1 << 20
const DOWNLOADS = SANITIZED ? 100 : 200
/** Downloads at the same time. */
const ABREAST = 50

for (const trigger of TRIGGERS) {
  test(`a file counts no memory, and drain waits for it (${trigger})`, async (t) => {
    const { path, content } = temporaryFile(t, 24 * MIB)
    const { conn, peer, log, reactor } = await onePair(t, trigger)
    peer.socket.pause()
    const sent = conn.sendFile(path)
    t.equal(conn.writableLength, 0)
    const chunk = Buffer.alloc(65_536, 1)
    t.equal(conn.write(chunk), false, 'the high-water mark counts written bytes')
    t.equal(conn.writableLength, chunk.length)
    await until(() => reactor.stats().bytesWritten > 0)
    await quiet(reactor)
    t.equal(conn.writableLength, chunk.length, 'the file before the bytes does not count')
    t.strictSame(log, ['open'])
    peer.socket.resume()
    t.equal(await sent, content.length, 'a file larger than maxWriteQueue is sent')
    await until(() => log.length > 1)
    t.strictSame(log, ['open', 'drain'])
    t.equal(conn.writableLength, 0)
    await peer.untilBytes(content.length + chunk.length)
    t.ok(peer.received.equals(Buffer.concat([content, chunk])))
  })

  test(`${DOWNLOADS} downloads, ${ABREAST} at a time (${trigger})`, async (t) => {
    const { path, content } = temporaryFile(t, MIB + 17)
    const log: string[] = []
    const done: number[] = []
    const { port } = await serve<unknown>(
      t,
      record(log, {
        async data(conn) {
          conn.write('head')
          const sent = conn.sendFile(path)
          conn.end('tail')
          done.push(await sent)
        },
      }),
      {},
      { trigger },
    )
    const want = Buffer.concat([Buffer.from('head'), content, Buffer.from('tail')])
    const before = openDescriptors()
    for (let round = 0; round < DOWNLOADS / ABREAST; round++) {
      const peers = await Promise.all(Array.from({ length: ABREAST }, () => connectPeer(t, port)))
      for (const peer of peers) peer.write('x')
      for (const peer of peers) await peer.untilEnded()
      t.ok(peers.every((peer) => peer.received.equals(want)))
      for (const peer of peers) peer.end()
      for (const peer of peers) await peer.untilClosed()
    }
    await until(() => done.length === DOWNLOADS)
    t.ok(done.every((bytes) => bytes === content.length))
    await until(() => openDescriptors() <= before, 'no descriptor is left')
  })

  test(`shutdown cuts a file that nobody takes (${trigger})`, async (t) => {
    const { path } = temporaryFile(t, 16 * MIB)
    const conns: Connection[] = []
    const { port, reactor } = await serve(t, { open: (conn) => void conns.push(conn) }, {}, { trigger })
    const peer = await connectPeer(t, port)
    peer.socket.pause()
    await until(() => conns.length === 1)
    const sent = (conns[0] as Connection).sendFile(path)
    const rejected = t.rejects(sent, { code: 'ERR_C1M_CONNECTION_CLOSED' })
    t.strictSame(await reactor.shutdown({ timeoutMs: 50 }), { drained: 0, cut: 1 })
    await rejected
  })
}

test('ranges beyond 4 GiB of a file are sent', async (t) => {
  const path = join(temporaryDirectory(t), 'sparse')
  const fd = openSync(path, 'w')
  const at = 5 * 2 ** 30
  ftruncateSync(fd, 6 * 2 ** 30)
  writeSync(fd, 'beyond', at)
  const { conn, peer } = await onePair(t, 'edge')
  t.equal(await conn.sendFile(path, { start: at - 2, end: at + 8 }), 10)
  await peer.untilBytes(10)
  t.equal(peer.text, '\0\0beyond\0\0')
  t.equal(await conn.sendFile(path, { start: 6 * 2 ** 30 - 1 }), 1)
})
