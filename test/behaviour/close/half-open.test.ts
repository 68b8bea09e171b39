import type { Connection } from 'c1m'
import { test } from 'tap'
import { sha256 } from '../../fixtures/bytes.js'
import { connectPeer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { fence, quiet, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`with allowHalfOpen a connection may send after the peer's FIN (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      record(log, { open: (conn) => void conns.push(conn) }),
      { allowHalfOpen: true },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.end('question')
    await until(() => log.includes('end'))
    await fence(reactor)
    t.equal(peer.ended, false)
    t.equal(conns[0]?.write('an '), true)
    await peer.untilBytes(3)
    t.equal(conns[0]?.write('answer'), true)
    t.equal(conns[0]?.end('!'), true)
    await peer.untilEnded()
    t.equal(peer.text, 'an answer!')
    await until(() => log.includes('close'))
    t.strictSame(log, ['open', 'data question', 'end', 'close'])
  })

  test(`without allowHalfOpen a connection ends after the end handler, behind its writes (${trigger})`, async (t) => {
    const log: string[] = []
    const answers: boolean[] = []
    const answer = seeded(2).bytes(6 * 1024 * 1024)
    const { port, reactor } = await serve<unknown>(
      t,
      record(log, {
        end(conn) {
          answers.push(conn.write(answer))
          process.nextTick(() => answers.push(conn.write('too late'), conn.end()))
        },
      }),
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.socket.pause()
    peer.end('question')
    await until(() => log.includes('end'))
    await quiet(reactor)
    t.notOk(log.includes('close'), 'not before it is sent')
    peer.socket.resume()
    await peer.untilEnded()
    t.equal(sha256(peer.received), sha256(answer))
    await until(() => log.includes('close'))
    t.strictSame(
      log.filter((line) => line !== 'drain'),
      ['open', 'data question', 'end', 'close'],
    )
    t.strictSame(answers, [false, false, false])
  })

  test(`after end() data is delivered until the peer's FIN (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const open = (conn: Connection) => {
      conns.push(conn)
      t.equal(conn.write('hello '), true)
      t.equal(conn.end('and bye'), true)
      t.equal(conn.end('again'), false)
      t.equal(conn.write('more'), false)
      t.equal(conn.closed, false)
    }
    const { port, reactor } = await serve<unknown>(t, record(log, { open }), {}, { trigger })
    const peer = await connectPeer(t, port)
    await peer.untilEnded()
    t.equal(peer.text, 'hello and bye')
    await until(() => log.length === 2)
    await fence(reactor)
    t.strictSame(log, ['open', 'drain'])
    await peer.flush('still ')
    await until(() => log.length === 3)
    peer.end('here')
    await until(() => log.includes('close'))
    t.strictSame(log, ['open', 'drain', 'data still ', 'data here', 'end', 'close'])
  })

  test(`end() sends all queued bytes before the FIN (${trigger})`, async (t) => {
    const payload = seeded(8).bytes(12 * 1024 * 1024)
    const { port, reactor } = await serve<unknown>(
      t,
      {
        open(conn) {
          for (let at = 0; at < payload.length; at += 100_000) conn.write(payload.subarray(at, at + 100_000))
          conn.end()
        },
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.socket.pause()
    await quiet(reactor)
    peer.socket.resume()
    await peer.untilEnded()
    t.equal(sha256(peer.received), sha256(payload))
    t.equal(peer.error, undefined)
  })

  test(`a half-open connection closes when its peer resets it (${trigger})`, async (t) => {
    const log: string[] = []
    const { port, reactor } = await serve<unknown>(t, record(log), { allowHalfOpen: true }, { trigger })
    const peer = await connectPeer(t, port)
    peer.end('x')
    await until(() => log.includes('end'))
    await fence(reactor)
    peer.reset()
    await until(() => log.some((line) => line.startsWith('close')))
    await fence(reactor)
    t.strictSame(log, ['open', 'data x', 'end', 'close ECONNRESET'])
  })
}
