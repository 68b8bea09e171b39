import type { Connection } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`a write after end() causes one drain, and no other until data is delivered (${trigger})`, async (t) => {
    let drains = 0
    let connection: Connection<undefined> | undefined
    const { port, reactor } = await serve(
      t,
      {
        open(conn) {
          connection = conn
          t.equal(conn.writableEnded, false)
          conn.end('bye')
          t.equal(conn.writableEnded, true)
          t.equal(conn.write('late'), false)
          t.equal(conn.write('later'), false)
        },
        data(conn) {
          conn.write('an answer')
        },
        drain(conn) {
          drains++
          // A producer fills the queue again in `drain`, which must not cause an endless loop.
          t.equal(conn.write('more'), false)
        },
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await peer.untilEnded()
    await until(() => drains === 1, 'drain')
    await fence(reactor)
    t.equal(drains, 1)
    connection?.write('at some other time')
    await fence(reactor)
    t.equal(drains, 1)
    peer.write('a question')
    await until(() => drains === 2, 'drain')
    await fence(reactor)
    t.equal(drains, 2)
    t.equal(peer.text, 'bye')
  })

  test(`after end() each buffered chunk may cause a drain (${trigger})`, async (t) => {
    let received = ''
    let connection: Connection<undefined> | undefined
    const { port, reactor } = await serve(
      t,
      {
        open(conn) {
          connection = conn
          conn.end()
          conn.pause()
        },
        data(conn, chunk) {
          received += chunk
          if (!conn.write(chunk)) conn.pause()
        },
        drain(conn) {
          conn.resume()
        },
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await until(() => connection !== undefined)
    for (const chunk of ['one ', 'two ', 'three']) await peer.flush(chunk)
    peer.end()
    await fence(reactor)
    t.equal(received, '')
    connection?.resume()
    await peer.untilClosed()
    await until(() => received === 'one two three')
  })
}

test('neither end() after end() nor a write after destroy() causes a drain', async (t) => {
  let drains = 0
  let closes = 0
  const { port, reactor } = await serve(t, {
    open(conn) {
      conn.end()
      t.equal(conn.end('again'), false)
      t.throws(() => conn.end(7 as never), { code: 'ERR_C1M_INVALID_ARG_TYPE' })
    },
    data(conn) {
      conn.destroy()
      t.equal(conn.write('late'), false)
      t.equal(conn.writableEnded, true)
    },
    drain: () => void drains++,
    close: () => void closes++,
  })
  const peer = await connectPeer(t, port)
  await peer.untilEnded()
  await fence(reactor)
  t.equal(drains, 0)
  peer.write('x')
  await until(() => closes === 1)
  await fence(reactor)
  t.equal(drains, 0)
})
