import type { Connection, Handlers, Listener } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { freePort } from '../../fixtures/port.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

test('after close() a listener refuses clients, and its connections continue', async (t) => {
  const echo = { data: (conn: Connection<undefined>, chunk: Buffer) => void conn.write(chunk) }
  const { listener, port } = await serve(t, echo, { port: await freePort() })
  const peer = await connectPeer(t, port)
  await until(() => listener.connections === 1)
  await listener.close()
  await t.rejects(connectPeer(t, port), { code: 'ECONNREFUSED' })
  peer.write('still there')
  await peer.untilBytes(11)
  t.equal(peer.text, 'still there')
  t.equal(listener.connections, 1)
})

for (const name of ['open', 'data', 'end', 'close'] as const) {
  test(`a listener may be closed in ${name}, and its port is free immediately`, async (t) => {
    const reactor = makeReactor(t)
    let next: Promise<Listener> | undefined
    const handlers: Handlers = {
      data() {},
      [name]({ listener }: { listener: Listener }) {
        if (next !== undefined) return
        const { port } = listener
        next = listener.close().then(() => reactor.listen({ host: '127.0.0.1', port: port as number }, handlers))
      },
    }
    const { port } = await serve(t, handlers, {}, reactor)
    const peer = await connectPeer(t, port)
    peer.end('hello')
    await until(() => next !== undefined)
    const listener = (await next) as Listener
    t.equal(listener.port, port)
    await connectPeer(t, port)
    await until(() => listener.connections === 1)
  })
}

test('a port is free for a listen() immediately after close() was called', async (t) => {
  const reactor = makeReactor(t)
  const { port, listener: first } = await serve(t, {}, {}, reactor)
  // The commands are executed in order, so the port is free for the second listener.
  const closed = first.close()
  const second = await reactor.listen({ host: '127.0.0.1', port }, {})
  await closed
  t.equal(second.port, port)
})

test('each of many listeners of a reactor has its own handlers', async (t) => {
  const reactor = makeReactor(t)
  const listeners = await Promise.all(
    Array.from({ length: 100 }, (_, number) =>
      reactor.listen({ host: '127.0.0.1', port: 0 }, { open: (conn) => void conn.end(String(number)) }),
    ),
  )
  for (const number of [0, 50, 99]) {
    const peer = await connectPeer(t, listeners[number]?.port as number)
    await peer.untilEnded()
    t.equal(peer.text, String(number))
  }
  await Promise.all(listeners.map((listener) => listener.close()))
  t.strictSame(await reactor.shutdown({ timeoutMs: 0 }), { drained: 0, cut: 3 })
})
