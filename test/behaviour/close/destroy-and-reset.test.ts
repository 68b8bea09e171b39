import type { Connection } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const SIZE = 12 * 1024 * 1024

for (const trigger of TRIGGERS) {
  test(`destroy() closes with a FIN, reset() with a RST (${trigger})`, async (t) => {
    for (const how of ['destroy', 'reset'] as const) {
      const log: string[] = []
      const conns: Connection[] = []
      const { port, reactor } = await serve<unknown>(
        t,
        record(log, { open: (conn) => void conns.push(conn) }),
        {},
        { trigger },
      )
      const peer = await connectPeer(t, port)
      await until(() => conns.length === 1)
      t.equal(conns[0]?.write('hello'), true)
      await peer.untilBytes(5)
      t.equal(conns[0]?.[how](), true)
      t.equal(conns[0]?.[how](), false)
      await until(() => peer.gone)
      t.equal(peer.error?.code, how === 'reset' ? 'ECONNRESET' : undefined)
      t.equal(peer.ended, how === 'destroy')
      await until(() => log.length > 1)
      await fence(reactor)
      t.strictSame(log, ['open', 'close'])
    }
  })

  test(`destroy() and reset() drop queued bytes, end() does not (${trigger})`, async (t) => {
    for (const how of ['destroy', 'reset', 'end'] as const) {
      const { port, reactor } = await serve<unknown>(
        t,
        {
          data(conn) {
            conn.write(Buffer.alloc(SIZE))
            conn[how]()
          },
        },
        {},
        { trigger },
      )
      const peer = await connectPeer(t, port)
      peer.socket.pause()
      peer.write('go')
      await fence(reactor)
      peer.socket.resume()
      await until(() => peer.gone)
      how === 'end' ? t.equal(peer.length, SIZE) : t.ok(peer.length < SIZE, `${peer.length} bytes came`)
      peer.end()
      await until(() => reactor.connections.size === 0)
    }
  })

  test(`destroy() drops bytes that the same handler has written before (${trigger})`, async (t) => {
    const log: string[] = []
    const answers: boolean[] = []
    const { port } = await serve<unknown>(
      t,
      record(log, {
        data(conn) {
          answers.push(conn.write('bye'), conn.destroy(new Error('no more')))
        },
      }),
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.write('go')
    await until(() => peer.gone && log.length > 2)
    t.strictSame(answers, [true, true])
    t.strictSame(log, ['open', 'data go', 'close no more'])
    t.equal(peer.length, 0)
  })
}
