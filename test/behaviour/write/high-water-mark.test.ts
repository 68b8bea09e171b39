import type { Connection } from 'c1m'
import { test } from 'tap'
import { sha256 } from '../../fixtures/bytes.js'
import { connectPeer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { fence, quiet, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const KIB = 1024
const MIB = 1024 * KIB

for (const trigger of TRIGGERS) {
  test(`write() returns false from highWaterMark on, and one drain follows (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      record(log, { open: (conn) => void conns.push(conn) }),
      { highWaterMark: 64 * KIB },
      { trigger },
    )
    const random = seeded(3)
    for (let round = 1; round <= 3; round++) {
      // A new peer, because the receive buffer of one that has read grows, and might hold the whole next round.
      const peer = await connectPeer(t, port)
      peer.socket.pause()
      await until(() => conns.length === round)
      const conn = conns[round - 1] as Connection
      // All in one turn of the event loop, so that no byte can be sent meanwhile.
      const parts = [
        random.bytes(63 * KIB),
        random.bytes(1023),
        random.bytes(1),
        random.bytes(1),
        random.bytes(8 * MIB),
      ]
      const answers = parts.map((part) => conn.write(part))
      t.strictSame(answers, [true, true, false, false, false])
      t.equal(conn.writableLength, 8 * MIB + 64 * KIB + 1)
      await quiet(reactor)
      t.notOk(log.includes('drain'), 'no drain while bytes are queued')
      t.ok(conn.writableLength > 0)
      t.equal(conn.write(''), false, 'still above the mark')
      peer.socket.resume()
      await until(() => log.includes('drain'))
      t.equal(conn.writableLength, 0)
      await peer.untilBytes(8 * MIB + 64 * KIB + 1)
      await fence(reactor)
      t.strictSame(log, ['open', 'drain'])
      t.equal(sha256(peer.received), sha256(Buffer.concat(parts)))
      log.length = 0
    }
  })

  test(`a drain waits for a write that comes before it (${trigger})`, async (t) => {
    const conns: Connection[] = []
    const lengths: number[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      {
        open: (conn) => void conns.push(conn),
        drain(conn) {
          lengths.push(conn.writableLength)
          // Below the mark, so that it causes no drain.
          if (lengths.length === 1) t.equal(conn.write('tail'), true)
        },
      },
      { highWaterMark: 1000 },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    const conn = conns[0] as Connection
    t.equal(conn.write(Buffer.alloc(999)), true)
    t.equal(conn.write('x'), false)
    t.equal(conn.write(Buffer.alloc(5000)), false)
    await peer.untilBytes(6004)
    await until(() => lengths.length > 0)
    await fence(reactor)
    t.strictSame(lengths, [0])
    t.equal(conn.write(Buffer.alloc(1000)), false)
    await until(() => lengths.length === 2)
    t.strictSame(lengths, [0, 0])
  })

  test(`no drain without a write() that returned false (${trigger})`, async (t) => {
    const log: string[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      record(log, { data: (conn, chunk) => void conn.write(chunk) }),
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    for (const [i, text] of ['a', 'b', 'c'].entries()) {
      peer.write(text)
      await peer.untilBytes(i + 1)
    }
    await fence(reactor)
    t.notOk(log.includes('drain'))
  })
}
