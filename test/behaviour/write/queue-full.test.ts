import type { Connection } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const KIB = 1024
const LIMIT = 256 * KIB

for (const trigger of TRIGGERS) {
  test(`a write beyond maxWriteQueue destroys the connection (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      record(log, { open: (conn) => void conns.push(conn) }),
      { highWaterMark: 64 * KIB, maxWriteQueue: LIMIT },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.socket.pause()
    await until(() => conns.length === 1)
    const conn = conns[0] as Connection
    const part = Buffer.alloc(32 * KIB)
    // Exactly the limit, in one turn.
    for (let i = 0; i < LIMIT / part.length; i++) conn.write(part)
    t.equal(conn.closed, false)
    t.equal(conn.writableLength, LIMIT)
    t.equal(conn.write('x'), false)
    t.equal(conn.closed, true)
    t.equal(conn.write('y'), false)
    t.equal(conn.end(), false)
    t.notOk(
      log.some((line) => line.startsWith('close')),
      'close does not come from inside of write()',
    )
    await until(() => log.length > 1)
    await fence(reactor)
    t.strictSame(log, ['open', 'close ERR_C1M_WRITE_QUEUE_FULL'])
    t.equal(reactor.connections.size, 0)
    t.equal(reactor.stats().queueBytes, 0)
    peer.socket.resume()
    await until(() => peer.gone)
  })

  test(`a slow reader whose queue exceeds maxWriteQueue is closed (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      record(log, { open: (conn) => void conns.push(conn) }),
      { highWaterMark: 16 * KIB, maxWriteQueue: LIMIT },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.socket.pause()
    await until(() => conns.length === 1)
    const conn = conns[0] as Connection
    let max = 0
    while (!conn.closed) {
      // Small writes are copied, and make the pool of blocks grow when the kernel's buffers are full.
      for (let i = 0; i < 50; i++) conn.write(Buffer.alloc(KIB))
      await until(() => conn.writableLength === 0 || reactor.stats().queueBytes > 0)
      max = Math.max(max, reactor.stats().queueBytes)
    }
    await until(() => log.some((line) => line.startsWith('close')))
    await fence(reactor)
    t.strictSame(
      log.filter((line) => line !== 'drain'),
      ['open', 'close ERR_C1M_WRITE_QUEUE_FULL'],
    )
    t.not(log.at(-1), 'drain')
    t.ok(max > 0 && max < 2 * LIMIT, `${max} bytes of blocks at most`)
    t.equal(reactor.stats().queueBytes, 0)
  })

  for (const [what, chunk] of [
    ['bytes', Buffer.alloc(LIMIT + 1)],
    ['a string', 'é'.repeat(LIMIT / 2 + 1)],
  ] as const) {
    test(`one write of ${what} larger than maxWriteQueue destroys the connection (${trigger})`, async (t) => {
      const log: string[] = []
      const answers: boolean[] = []
      const { port, reactor } = await serve<unknown>(
        t,
        record(log, { open: (conn) => void answers.push(conn.write(chunk), conn.closed) }),
        { maxWriteQueue: LIMIT },
        { trigger },
      )
      const peer = await connectPeer(t, port)
      await until(() => log.some((line) => line.startsWith('close')))
      await fence(reactor)
      t.strictSame(log, ['open', 'close ERR_C1M_WRITE_QUEUE_FULL'])
      t.strictSame(answers, [false, true])
      t.equal(peer.length, 0)
    })
  }

  test(`end() with a chunk beyond maxWriteQueue destroys the connection (${trigger})`, async (t) => {
    const log: string[] = []
    const answers: boolean[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      record(log, { open: (conn) => void answers.push(conn.end(Buffer.alloc(LIMIT + 1))) }),
      { maxWriteQueue: LIMIT },
      { trigger },
    )
    await connectPeer(t, port)
    await until(() => log.some((line) => line.startsWith('close')))
    await fence(reactor)
    t.strictSame(log, ['open', 'close ERR_C1M_WRITE_QUEUE_FULL'])
    t.strictSame(answers, [false])
  })
}
