import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { relay } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, until } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

const CLIENTS = 300

test('clients that reset immediately leave no upstream connection', async (t) => {
  const open = new Set<Socket>()
  let seen = 0
  const up = createServer((socket) => {
    seen++
    open.add(socket)
    socket.on('error', () => {}).on('close', () => open.delete(socket))
  }).listen(0, '127.0.0.1')
  await once(up, 'listening')
  t.teardown(() => up.close())
  const { port: target } = up.address() as { port: number }
  let rejected = 0
  let ended = 0
  const { reactor, port } = await serve<unknown>(
    t,
    {
      async open(client) {
        client.pause()
        try {
          const upstream = await reactor.connect({ host: '127.0.0.1', port: target })
          await relay(client, upstream, { idleTimeoutMs: 60_000 })
          ended++
        } catch (error) {
          rejected++
          client.destroy(error as Error)
        }
      },
    },
    { allowHalfOpen: true },
  )
  for (let i = 0; i < CLIENTS; i++) (await connectPeer(t, port)).reset()
  await until(() => rejected + ended === CLIENTS)
  await until(() => reactor.connections.size === 0 && open.size === 0, 'all of them closed')
  t.ok(seen > 0)
})

test('relay() with a closed or ended connection destroys the other, with the reason', async (t) => {
  for (const [end, other] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    for (const how of ['destroy', 'end'] as const) {
      const pair = await connectPair(t)
      pair[end][how]()
      await t.rejects(relay(pair.a, pair.b), { code: 'ERR_C1M_CONNECTION_CLOSED' })
      t.equal(pair[other].closed, true)
      const log = other === 'a' ? pair.logA : pair.logB
      await until(() => log.includes('close ERR_C1M_RELAY_FAILED'))
      // An ended connection closes when its peer ends.
      t.equal(pair[end].closed, how === 'destroy')
      await (other === 'a' ? pair.peerA : pair.peerB).untilEnded()
      if (how === 'end') await (end === 'a' ? pair.peerA : pair.peerB).untilEnded()
    }
  }
})
