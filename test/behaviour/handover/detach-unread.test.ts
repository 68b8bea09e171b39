import type { Connection } from 'c1m'
import { test } from 'tap'
import { collect, netServer, socketHandles } from '../../fixtures/handover.js'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, makeReactor, record, serve, TRIGGERS, turns, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`a detached socket reads the bytes that were in a batch and in the kernel (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const open = (conn: Connection) => {
      conns.push(conn)
    }
    const { port, reactor } = await serve<unknown>(t, record(log, { open }), {}, { trigger })
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    const conn = conns[0] as Connection
    const handles = socketHandles()
    peer.writeAndBlock('in a batch ', reactor)
    const detaching = conn.detach()
    t.equal(conn.write('x'), false)
    t.equal(conn.end(), false)
    await peer.flush('in the kernel')
    const socket = await detaching
    t.teardown(() => socket.destroy())
    t.strictSame(log, ['open', 'close'], 'one close, without an error')
    t.equal(conn.closed, true)
    t.equal(reactor.connections.size, 0)
    t.equal(socketHandles(), handles + 1)
    t.equal(socket.remotePort, peer.port)
    t.equal(socket.localPort, port)
    await turns()
    const seen = collect(socket)
    await until(() => seen.text.length >= 24)
    t.equal(seen.text, 'in a batch in the kernel')
    socket.write('answer')
    await peer.untilBytes(6)
    peer.end()
    await until(() => seen.ended)
    await peer.untilClosed()
    t.equal(peer.text, 'answer', 'the refused write was not sent')
    await until(() => socket.destroyed)
    t.equal(socketHandles(), handles - 1)
  })

  test(`a detached socket reads the buffered bytes of a paused connection, and its end (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const open = (conn: Connection) => {
      conns.push(conn)
    }
    const { port, reactor } = await serve<unknown>(t, record(log, { open }), {}, { trigger })
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    const conn = conns[0] as Connection
    peer.writeAndBlock('held ', reactor)
    conn.pause()
    await fence(reactor)
    peer.end('tail')
    await fence(reactor)
    const socket = await conn.detach()
    t.strictSame(log, ['open', 'close'])
    const seen = collect(socket)
    await until(() => seen.ended)
    t.strictSame([conn.pause(), conn.resume(), conn.destroy()], [false, false, false], 'methods have no effect')
    await fence(reactor)
    t.strictSame(log, ['open', 'close'], 'one close')
    t.equal(seen.text, 'held tail')
    await peer.untilClosed()
  })

  test(`a detached socket reads a head that was not delivered (${trigger})`, async (t) => {
    const { accept } = await netServer(t)
    const { socket, peer } = await accept()
    const reactor = makeReactor(t, { trigger })
    const head = Buffer.alloc(500_000, 'head')
    const open = (conn: Connection<undefined>) => conn.pause()
    const conn = await reactor.adopt(socket, { open }, { head })
    const back = await conn.detach()
    t.teardown(() => back.destroy())
    const seen = collect(back)
    peer.write('!')
    await until(() => seen.text.length > head.length)
    t.equal(seen.text, `${head.toString()}!`)
  })
}

test('a connection detached in its data handler gets no more events but close', async (t) => {
  const log: string[] = []
  let detaching: ReturnType<Connection['detach']> | undefined
  const { port } = await serve<unknown>(
    t,
    record(log, {
      data: (conn) => {
        detaching = conn.detach()
      },
    }),
  )
  const peer = await connectPeer(t, port)
  peer.write('STARTTLS')
  await until(() => detaching !== undefined)
  peer.write('rest')
  const socket = await (detaching as ReturnType<Connection['detach']>)
  t.teardown(() => socket.destroy())
  const seen = collect(socket)
  await until(() => seen.text === 'rest')
  t.strictSame(log, ['open', 'data STARTTLS', 'close'])
})
