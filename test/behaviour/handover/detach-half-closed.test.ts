import type { Connection, Handlers } from 'c1m'
import { test } from 'tap'
import { collect } from '../../fixtures/handover.js'
import { connectPeer } from '../../fixtures/peer.js'
import { record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  const start = async (t: Parameters<typeof serve>[0], log: string[], handlers: Handlers<unknown> = {}) => {
    const conns: Connection[] = []
    const all = record(log, { ...handlers, open: (conn: Connection) => conns.push(conn) })
    const { port } = await serve<unknown>(t, all, { allowHalfOpen: true }, { trigger })
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    return { peer, conn: conns[0] as Connection }
  }

  test(`a socket detached after the peer's FIN ends, and can still write (${trigger})`, async (t) => {
    const log: string[] = []
    const { peer, conn } = await start(t, log)
    peer.end('tail')
    await until(() => log.includes('end'))
    const socket = await conn.detach()
    t.strictSame(log, ['open', 'data tail', 'end', 'close'])
    const seen = collect(socket)
    await until(() => seen.ended)
    t.equal(seen.text, '')
    socket.end('answer')
    await peer.untilClosed()
    t.equal(peer.text, 'answer')
  })

  test(`a socket detached after end() is ended, and can still read (${trigger})`, async (t) => {
    const log: string[] = []
    const { peer, conn } = await start(t, log)
    conn.end('bye')
    await peer.untilEnded()
    const socket = await conn.detach()
    t.equal(socket.writableEnded, true)
    const seen = collect(socket)
    peer.end('late')
    await until(() => seen.ended)
    t.equal(seen.text, 'late')
    await peer.untilClosed()
    t.equal(peer.error, undefined)
    t.strictSame(log, ['open', 'close'])
  })
}

test('detach() in the end handler leaves the end to the socket', async (t) => {
  const log: string[] = []
  let detaching: ReturnType<Connection['detach']> | undefined
  const { port } = await serve<unknown>(
    t,
    record(log, {
      end: (conn) => {
        detaching = conn.detach()
      },
    }),
  )
  const peer = await connectPeer(t, port)
  peer.end('x')
  await until(() => detaching !== undefined)
  const socket = await (detaching as ReturnType<Connection['detach']>)
  t.equal(socket.writableEnded, false)
  socket.write('from net')
  const seen = collect(socket)
  await until(() => seen.ended)
  await peer.untilClosed()
  t.equal(peer.text, 'from net')
})
