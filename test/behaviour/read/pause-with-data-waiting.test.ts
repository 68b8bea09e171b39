import type { Connection } from 'c1m'
import { test } from 'tap'
import { sha256 } from '../../fixtures/bytes.js'
import { connectPeer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { fence, quiet, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const only = (conns: Connection[]) => conns[0] as Connection

for (const trigger of TRIGGERS) {
  test(`data in the kernel is delivered after resume(), not before (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const open = (conn: Connection) => {
      conns.push(conn)
      conn.pause()
    }
    const { port, reactor } = await serve<unknown>(t, record(log, { open }), {}, { trigger })
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    const conn = only(conns)
    t.equal(conn.paused, true)
    await fence(reactor)
    peer.write('first ')
    await fence(reactor)
    peer.write('second')
    await fence(reactor)
    t.strictSame(log, ['open'])
    t.equal(reactor.stats().bytesRead, 0, 'the bytes are still in the kernel')
    t.equal(conn.resume(), true)
    t.equal(conn.paused, false)
    await until(() => log.length > 1)
    t.strictSame(log, ['open', 'data first second'])
    peer.write('third')
    await until(() => log.length > 2)
    t.equal(log[2], 'data third')
  })

  test(`a FIN in a pause is delivered after resume(), behind the data before it (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const open = (conn: Connection) => {
      conns.push(conn)
      conn.pause()
    }
    const { port, reactor } = await serve<unknown>(t, record(log, { open }), {}, { trigger })
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    await fence(reactor)
    peer.end('tail')
    await fence(reactor)
    t.strictSame(log, ['open'])
    // Writing continues.
    only(conns).write('answer')
    await peer.untilBytes(6)
    t.equal(peer.text, 'answer')
    t.equal(peer.ended, false)
    only(conns).resume()
    await until(() => log.includes('close'))
    await fence(reactor)
    t.strictSame(log, ['open', 'data tail', 'end', 'close'])
  })

  test(`a FIN without data is delivered after resume() (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const open = (conn: Connection) => {
      conns.push(conn)
      conn.pause()
    }
    const { port, reactor } = await serve<unknown>(t, record(log, { open }), {}, { trigger })
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    await fence(reactor)
    peer.end()
    await fence(reactor)
    t.strictSame(log, ['open'])
    only(conns).resume()
    await until(() => log.includes('close'))
    t.strictSame(log, ['open', 'end', 'close'])
  })

  test(`a paused connection throttles its peer, and loses no byte (${trigger})`, async (t) => {
    const payload = seeded(7).bytes(48 * 1024 * 1024)
    const chunks: Buffer[] = []
    const conns: Connection[] = []
    let ended = false
    const { port, reactor } = await serve<unknown>(
      t,
      {
        open(conn) {
          conns.push(conn)
          conn.pause()
        },
        data: (_conn, chunk) => void chunks.push(chunk),
        end() {
          ended = true
        },
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    await fence(reactor)
    const before = process.memoryUsage.rss()
    peer.end(payload)
    await quiet(reactor)
    t.equal(reactor.stats().bytesRead, 0)
    t.ok(peer.socket.writableLength > 16 * 1024 * 1024, 'the kernel took only what fits its buffers')
    t.ok(process.memoryUsage.rss() - before < 16 * 1024 * 1024)
    for (let i = 0; i < 50; i++) {
      only(conns).resume()
      await fence(reactor)
      only(conns).pause()
      await fence(reactor)
    }
    only(conns).resume()
    await until(() => ended)
    t.equal(sha256(Buffer.concat(chunks)), sha256(payload))
  })
}
