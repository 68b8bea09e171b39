import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, relay } from 'c1m'
import { type Test, test } from 'tap'
import { netServer } from '../../fixtures/handover.js'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { block, fence, makeReactor, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

/** Starts a server that sends a greeting, echoes, and ends when the other side has ended. */
async function greeter(t: Pick<Test, 'teardown'>): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.write('220 hello\r\n')
    socket.on('data', (chunk) => socket.write(chunk))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { port: (server.address() as { port: number }).port, sockets }
}

for (const trigger of TRIGGERS) {
  test(`without a data handler, a relay sends all bytes since the connect (${trigger})`, async (t) => {
    const up = await greeter(t)
    const { reactor, port } = await serve<unknown>(
      t,
      {
        async open(client) {
          client.pause()
          const upstream = await reactor.connect({ host: '127.0.0.1', port: up.port })
          t.equal(upstream.paused, true)
          // The greeting has been received by now.
          block(5)
          await sleep(5)
          await relay(client, upstream)
        },
      },
      { allowHalfOpen: true },
      { trigger },
    )
    const peers = await Promise.all(Array.from({ length: 20 }, () => connectPeer(t, port)))
    for (const peer of peers) {
      peer.write('and more')
      await peer.untilBytes(19)
      t.equal(peer.text, '220 hello\r\nand more')
      peer.end()
    }
    await Promise.all(peers.map((peer) => peer.untilEnded()))
  })

  test(`without a data handler, a detached net.Socket reads all bytes since the connect (${trigger})`, async (t) => {
    const up = await greeter(t)
    const reactor = makeReactor(t, { trigger })
    const conn = await reactor.connect({ host: '127.0.0.1', port: up.port })
    await until(() => up.sockets.length === 1)
    await fence(reactor)
    const socket = await conn.detach()
    t.teardown(() => socket.destroy())
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.write('and more')
    await until(() => text.length === 19)
    t.equal(text, '220 hello\r\nand more')
  })

  test(`without a data handler, end is called only after resume() (${trigger})`, async (t) => {
    const up = await greeter(t)
    let ended = false
    let closed = false
    const reactor = makeReactor(t, { trigger })
    const conn = await reactor.connect(
      { host: '127.0.0.1', port: up.port },
      {
        end: () => {
          ended = true
        },
        close: () => {
          closed = true
        },
      },
    )
    await until(() => up.sockets.length === 1)
    up.sockets[0]?.end()
    await fence(reactor)
    t.equal(ended, false)
    conn.resume()
    t.equal(conn.paused, false)
    await until(() => closed)
    t.equal(ended, true)
  })

  test(`without a data handler, end() starts reading, so that the connection closes (${trigger})`, async (t) => {
    const up = await greeter(t)
    let closed = 0
    const handlers = { close: () => void closed++ }
    const reactor = makeReactor(t, { trigger })
    const target = { host: '127.0.0.1', port: up.port }
    const [one, two] = [await reactor.connect(target, handlers), await reactor.connect(target, handlers)]
    one.end('bye')
    await until(() => closed === 1)
    t.equal(two.closed, false)
    // An explicit pause() keeps end() from reading.
    two.pause()
    two.end()
    await fence(reactor)
    t.equal(closed, 1)
    t.equal(two.paused, true)
    two.resume()
    await until(() => closed === 2)
  })

  test(`a shutdown drains a connection without a data handler (${trigger})`, async (t) => {
    const up = await greeter(t)
    const reactor = makeReactor(t, { trigger })
    await reactor.connect({ host: '127.0.0.1', port: up.port })
    t.strictSame(await reactor.shutdown(), { drained: 1, cut: 0 })
  })

  test(`a socket adopted without a data handler keeps its bytes for a relay (${trigger})`, async (t) => {
    const { accept } = await netServer(t)
    const reactor = makeReactor(t, { trigger })
    const conns: Connection<undefined>[] = []
    const peers: Peer[] = []
    for (const head of ['one ', 'two ']) {
      const { socket, peer } = await accept()
      peers.push(peer)
      conns.push(await reactor.adopt(socket, {}, { head: Buffer.from(head) }))
      await peer.flush('more ')
    }
    await fence(reactor)
    const [a, b] = conns as [Connection<undefined>, Connection<undefined>]
    void relay(a, b)
    await Promise.all(peers.map((peer) => peer.untilBytes(9)))
    t.strictSame(
      peers.map(({ text }) => text),
      ['two more ', 'one more '],
    )
  })
}

test('with a data handler a connection reads immediately', async (t) => {
  const up = await greeter(t)
  let text = ''
  const conn = await makeReactor(t).connect(
    { host: '127.0.0.1', port: up.port },
    {
      data: (_conn, chunk) => {
        text += chunk.toString()
      },
    },
  )
  t.equal(conn.paused, false)
  await until(() => text === '220 hello\r\n')
})
