import type { Connection, ErrorCode } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, quiet, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const KIB = 1024

for (const trigger of TRIGGERS) {
  test(`a member that doesn't read is cut when its queue is full, and others continue (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const { reactor, port } = await serve<unknown>(
      t,
      record(log, { open: (conn) => void conns.push(conn) }),
      { maxWriteQueue: 256 * KIB },
      { trigger },
    )
    const group = reactor.createGroup()
    const slow = await connectPeer(t, port)
    slow.socket.pause()
    const quick = await connectPeer(t, port)
    await until(() => conns.length === 2)
    for (const conn of conns) group.add(conn)
    const [slowConn] = conns.filter((conn) => conn.remotePort === slow.port) as [Connection]

    const chunk = Buffer.alloc(20 * KIB, 'x')
    let sent = 0
    let queued = 0
    let cut = 0
    while (cut === 0) {
      const result = await group.broadcast(chunk)
      sent += chunk.length
      queued += result.queued
      cut += result.cut
      t.equal(result.reached + result.queued + result.cut, 2)
      t.equal(slowConn.writableLength, 0, 'writableLength does not count broadcasts')
      await quick.untilBytes(sent)
    }
    t.ok(queued > 0)
    t.equal(cut, 1)
    await until(() => slowConn.closed)
    t.equal(group.size, 1)
    t.equal(log.at(-1), 'close ERR_C1M_WRITE_QUEUE_FULL' satisfies `close ${ErrorCode}`)
    t.strictSame(await group.broadcast('the last'), { reached: 1, queued: 0, cut: 0 })
    await quick.untilBytes(sent + 8)
    await fence(reactor)
    t.equal(log.filter((line) => line.startsWith('close')).length, 1)
    t.equal(reactor.stats().queueBytes, 0)
  })

  test(`queued broadcasts are sent when there is room, and drain comes after them (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const { reactor, port } = await serve<unknown>(
      t,
      record(log, { open: (conn) => void conns.push(conn) }),
      { highWaterMark: 16, maxWriteQueue: 64 * KIB * KIB },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.socket.pause()
    await until(() => conns.length === 1)
    const conn = conns[0] as Connection
    const group = reactor.createGroup()
    group.add(conn)
    // More bytes than the kernel's buffers can grow to.
    const sent = 32 * KIB * KIB
    t.strictSame(await group.broadcast(Buffer.alloc(sent, 'b')), { reached: 0, queued: 1, cut: 0 })
    t.equal(conn.write('0123456789abcdef'), false)
    t.equal(conn.writableLength, 16)
    await quiet(reactor)
    t.strictSame(log, ['open'])
    peer.socket.resume()
    await peer.untilBytes(sent + 16)
    await until(() => log.includes('drain'))
    t.strictSame(log, ['open', 'drain'])
    t.equal(conn.writableLength, 0)
    t.equal(peer.received.subarray(sent).toString(), '0123456789abcdef')
  })
}
