import { connect, type Socket } from 'node:net'
import type { Connection } from 'c1m'
import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { openDescriptors } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, turns, until } from '../../fixtures/reactor.js'

test('reactors in one thread are independent', async (t) => {
  const closes: string[] = []
  const make = (name: string) =>
    serve(t, {
      data(conn, chunk) {
        conn.write(`${name}:${chunk}`)
      },
      close: (_conn, error) => void closes.push(`${name} ${error?.code}`),
    })
  const [a, b, c] = [await make('a'), await make('b'), await make('c')]
  const peers = [await connectPeer(t, a.port), await connectPeer(t, b.port), await connectPeer(t, c.port)]
  for (const peer of peers) peer.write('hello')
  await Promise.all(peers.map((peer) => peer.untilBytes(7)))
  t.strictSame(
    peers.map((peer) => peer.text),
    ['a:hello', 'b:hello', 'c:hello'],
  )
  // The same id is another connection in each reactor, because both start with the same ids.
  const [id] = a.reactor.connections.ids()
  t.strictSame([...b.reactor.connections.ids()], [id])
  t.not(a.reactor.connections.get(id as number), b.reactor.connections.get(id as number))

  await a.reactor.shutdown({ timeoutMs: 0 })
  t.strictSame(closes, ['a ERR_C1M_SHUTDOWN'])
  t.equal(a.reactor.connections.size, 0)
  peers[1]?.write('again')
  await peers[1]?.untilBytes(14)
  t.equal(b.reactor.connections.size, 1)
  t.equal(c.reactor.stats().connections, 1)
})

test('two reactors in one thread exchange bytes through node:net', async (t) => {
  // Client → front (c1m) → net.Socket → back (c1m), and back along the same path.
  const back = await serve(t, {
    data(conn, chunk) {
      conn.write(chunk.toString().toUpperCase())
    },
    drain(conn) {
      conn.resume()
    },
  })
  const front = await serve<Socket>(t, {
    open(conn: Connection<Socket>) {
      const upstream = connect({ host: '127.0.0.1', port: back.port })
      conn.data = upstream
      upstream.on('data', (chunk) => {
        if (!conn.write(chunk)) upstream.pause()
      })
      upstream.on('close', () => conn.end())
    },
    data(conn, chunk) {
      if (!conn.data.write(chunk)) {
        conn.pause()
        conn.data.once('drain', () => conn.resume())
      }
    },
    drain: (conn) => void conn.data.resume(),
    end: (conn) => void conn.data.end(),
    close: (conn) => void conn.data.destroy(),
  })
  const bytes = SANITIZED ? 2_000_000 : 5_000_000
  const peers = await Promise.all(Array.from({ length: 8 }, () => connectPeer(t, front.port)))
  for (const peer of peers) peer.write(Buffer.alloc(bytes, 'abc'))
  await Promise.all(peers.map((peer) => peer.untilBytes(bytes)))
  const expected = Buffer.alloc(bytes, 'ABC')
  for (const peer of peers) t.ok(peer.received.equals(expected))
  for (const peer of peers) peer.end()
  await until(() => front.reactor.connections.size + back.reactor.connections.size === 0)
})

test('reactors leave no descriptor after their shutdown', async (t) => {
  const start = async () => {
    const reactor = makeReactor(t, { maxConnections: 100 })
    await reactor.listen({ host: '127.0.0.1', port: 0 }, {})
    return reactor
  }
  await (await start()).shutdown()
  await turns()
  const before = openDescriptors()
  for (let round = 0; round < (SANITIZED ? 5 : 10); round++) {
    const reactors = await Promise.all(Array.from({ length: 5 }, start))
    t.equal(new Set(reactors).size, 5)
    await Promise.all(reactors.map((reactor) => reactor.shutdown()))
  }
  await turns()
  t.equal(openDescriptors(), before)
})

test('a handler of one reactor shuts down the other', async (t) => {
  const victim = await serve(t, {})
  const done: unknown[] = []
  const killer = await serve(t, {
    data: () => void victim.reactor.shutdown({ timeoutMs: 0 }).then((result) => done.push(result)),
  })
  const held = await connectPeer(t, victim.port)
  await until(() => victim.reactor.connections.size === 1)
  const peer = await connectPeer(t, killer.port)
  peer.write('now')
  await until(() => done.length === 1)
  t.strictSame(done, [{ drained: 0, cut: 1 }])
  await held.untilEnded()
})
