import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'tap'
import { socketHandles } from '../../fixtures/handover.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, record, TRIGGERS, until } from '../../fixtures/reactor.js'

const ACCEPTED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'
const REQUEST = 'GET /room HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'

for (const trigger of TRIGGERS) {
  test(`a connection upgraded by http is adopted with the bytes behind its request (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger })
    const log: string[] = []
    const handlers = record<{ url: string | undefined }>(log, {
      open: (conn) => log.push(`url ${conn.data.url}`),
      data: (conn, chunk) => conn.write(`echo ${chunk.toString()}`),
    })
    const server = createServer()
    server.on('upgrade', (incoming, socket, head) => {
      socket.write(ACCEPTED)
      reactor.adopt(socket as Socket, handlers, { head, data: { url: incoming.url } }).catch(t.error)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const before = socketHandles()
    const peer = await connectPeer(t, (server.address() as AddressInfo).port)
    // One segment, so that the bytes behind the request are the `head`.
    peer.write(`${REQUEST}first`)
    await peer.untilBytes(ACCEPTED.length + 10)
    t.equal(peer.text, `${ACCEPTED}echo first`)
    t.strictSame(log, ['open', 'url /room', 'data first'])
    await until(() => socketHandles() === before + 1, 'only the peer has a handle')
    peer.write('second')
    await peer.untilBytes(ACCEPTED.length + 21)
    // The http server can close while the connection continues.
    server.close()
    await once(server, 'close')
    peer.write('third')
    await peer.untilBytes(ACCEPTED.length + 31)
    t.ok(peer.text.endsWith('echo secondecho third'))
    peer.end()
    await peer.untilClosed()
    await until(() => log.at(-1) === 'close')
  })
}

test('the client side of an upgrade is adopted as well', async (t) => {
  const reactor = makeReactor(t)
  const server = createServer()
  let served: Socket | undefined
  server.on('upgrade', (_incoming, socket) => {
    served = socket as Socket
    socket.write(`${ACCEPTED}welcome`)
    socket.on('data', (chunk: Buffer) => socket.write(`got ${chunk.toString()}`))
    socket.on('end', () => socket.end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const asked = request({ port, host: '127.0.0.1', headers: { connection: 'Upgrade', upgrade: 'x' } }).end()
  const [, socket, head] = (await once(asked, 'upgrade')) as [unknown, Socket, Buffer]
  const log: string[] = []
  const conn = await reactor.adopt(socket, record<undefined>(log), { head })
  await until(() => log.join('').includes('welcome'))
  conn.write('hello')
  await until(() => log.join('').includes('got hello'))
  conn.end()
  await until(() => log.at(-1) === 'close')
  t.equal(served?.destroyed, true)
})
