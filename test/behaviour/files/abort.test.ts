import { test } from 'tap'
import { endlessFile, onePair, temporaryFile } from '../../fixtures/file.js'
import { fence, quiet, TRIGGERS, until } from '../../fixtures/reactor.js'

const MIB = 1 << 20

for (const trigger of TRIGGERS) {
  test(`an abort before a file's first byte removes it from the queue (${trigger})`, async (t) => {
    const { path, content } = temporaryFile(t, 32 * MIB)
    const { conn, peer, reactor } = await onePair(t, trigger)
    peer.socket.pause()
    const first = conn.sendFile(path)
    const abort = new AbortController()
    const reason = new Error('changed my mind')
    const second = conn.sendFile(path, { signal: abort.signal })
    conn.write('tail')
    await until(() => reactor.stats().bytesWritten > 0)
    await quiet(reactor)
    abort.abort(reason)
    t.equal(await second.catch((error) => error), reason)
    await t.rejects(conn.sendFile(path, { signal: abort.signal }), reason, 'aborted already')
    await t.rejects(conn.sendFile(path, { signal: AbortSignal.abort() }), { name: 'AbortError' })
    peer.socket.resume()
    t.equal(await first, content.length)
    await peer.untilBytes(content.length + 4)
    t.ok(peer.received.equals(Buffer.concat([content, Buffer.from('tail')])))
    t.equal(conn.closed, false)
  })

  test(`an abort before a file is opened sends nothing of it (${trigger})`, async (t) => {
    const { path } = temporaryFile(t, 1000)
    const { conn, peer, reactor } = await onePair(t, trigger)
    const abort = new AbortController()
    conn.write('a')
    const sent = conn.sendFile(path, { signal: abort.signal })
    conn.write('b')
    abort.abort()
    await t.rejects(sent, { name: 'AbortError' })
    await peer.untilBytes(2)
    await fence(reactor)
    t.equal(peer.text, 'ab')
  })

  test(`an abort after a part of a file was sent resets the connection (${trigger})`, async (t) => {
    const path = endlessFile(t)
    const { conn, peer, log } = await onePair(t, trigger)
    const abort = new AbortController()
    const sent = conn.sendFile(path, { signal: abort.signal })
    const rejected = t.rejects(conn.sendFile(path), { code: 'ERR_C1M_CONNECTION_CLOSED' })
    await peer.untilBytes(1)
    abort.abort()
    await t.rejects(sent, { name: 'AbortError' })
    await rejected
    await peer.untilEnded()
    t.ok(peer.length < 2 ** 30)
    await until(() => log.length === 2)
    t.strictSame(log, ['open', 'close ERR_C1M_FILE_ABORTED'])
  })

  test(`an abort after a file was sent has no effect (${trigger})`, async (t) => {
    const { path } = temporaryFile(t, 1000)
    const { conn, peer } = await onePair(t, trigger)
    const abort = new AbortController()
    t.equal(await conn.sendFile(path, { signal: abort.signal }), 1000)
    abort.abort()
    conn.end('!')
    await peer.untilEnded()
    t.equal(peer.length, 1001)
  })
}
