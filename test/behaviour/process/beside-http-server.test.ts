import { once } from 'node:events'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Test, test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { serve, until } from '../../fixtures/reactor.js'

async function startHttp(t: Test, answer: () => string): Promise<number> {
  const server = createServer((_request, response) => response.end(answer()))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function fetchText(port: number): Promise<string> {
  const [response] = await once(get({ host: '127.0.0.1', port }), 'response')
  let text = ''
  for await (const chunk of response) text += chunk
  return text
}

/** Sends each reply back. */
function pingPong(peer: Peer): void {
  peer.socket.on('data', (chunk) => peer.socket.write(chunk))
  peer.write('ping')
}

test('an http.Server and a reactor can serve in one process at the same time', async (t) => {
  const { reactor, port } = await serve(t, {
    data(conn, chunk) {
      conn.write(chunk)
    },
  })
  const httpPort = await startHttp(t, () => JSON.stringify(reactor.stats()))
  const peers = await Promise.all(Array.from({ length: 30 }, () => connectPeer(t, port)))
  await until(() => reactor.connections.size === 30)
  for (const peer of peers) pingPong(peer)

  const requests = 200
  let answered = 0
  const ask = async () => {
    for (let i = 0; i < requests / 4; i++) {
      const stats = JSON.parse(await fetchText(httpPort)) as { connections: number }
      if (stats.connections === 30) answered++
    }
  }
  const before = peers.map((peer) => peer.length)
  await Promise.all([ask(), ask(), ask(), ask()])
  t.equal(answered, requests)
  t.ok(
    peers.every((peer, at) => peer.length > (before[at] ?? 0)),
    'neither starves the other',
  )
})

test('timers and immediates run while a reactor is under load', async (t) => {
  const { port } = await serve(t, {
    data(conn, chunk) {
      conn.write(chunk)
    },
  })
  const peers = await Promise.all(Array.from({ length: 50 }, () => connectPeer(t, port)))
  for (const peer of peers) pingPong(peer)
  let immediates = 0
  let timers = 0
  const immediate = () => void (immediates++ < 200 && setImmediate(immediate))
  const timer = () => void (timers++ < 20 && setTimeout(timer, 1))
  immediate()
  timer()
  await until(() => immediates > 200 && timers > 20)
  t.ok(peers.every((peer) => peer.length > 0))
})

test('a connection can feed an HTTP response', async (t) => {
  const lines: string[] = []
  const { port } = await serve(t, { data: (_conn, chunk) => void lines.push(chunk.toString()) })
  const httpPort = await startHttp(t, () => lines.join())
  const peer = await connectPeer(t, port)
  peer.write('hello')
  await until(() => lines.length === 1)
  t.equal(await fetchText(httpPort), 'hello')
})
