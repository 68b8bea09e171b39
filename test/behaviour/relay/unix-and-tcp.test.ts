import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type RelayResult, relay } from 'c1m'
import { test } from 'tap'
import { sha256 } from '../../fixtures/bytes.js'
import { connectPeer, Peer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { makeReactor, TRIGGERS, until } from '../../fixtures/reactor.js'
import { sendInPieces } from '../../fixtures/relay.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const KINDS = ['tcp', 'unix'] as const

for (const trigger of TRIGGERS) {
  for (const [from, to] of KINDS.flatMap((one) => KINDS.map((other) => [one, other] as const))) {
    test(`a relay from ${from} to an outgoing connection over ${to} is exact (${trigger})`, async (t) => {
      const directory = temporaryDirectory(t)
      const place = (kind: 'tcp' | 'unix', name: string) =>
        kind === 'unix' ? { path: join(directory, name) } : { host: '127.0.0.1', port: 0 }
      const upstreams = createServer({ allowHalfOpen: true })
      t.teardown(() => upstreams.close())
      upstreams.listen(place(to, 'up'))
      await once(upstreams, 'listening')
      const address = upstreams.address()
      const target = typeof address === 'string' ? { path: address } : { host: '127.0.0.1', port: address?.port ?? 0 }
      let upstreamSocket: Socket | undefined
      upstreams.on('connection', (socket) => {
        t.teardown(() => socket.destroy())
        upstreamSocket = socket
      })

      const reactor = makeReactor(t, { trigger })
      let ended: Promise<RelayResult> | undefined
      const listener = await reactor.listen(place(from, 'in'), {
        async open(client) {
          client.pause()
          ended = relay(client, await reactor.connect(target))
        },
      })
      const client = await connectPeer(
        t,
        listener.port ?? 0,
        from === 'unix' ? ({ path: join(directory, 'in') } as object) : {},
      )
      await until(() => upstreamSocket !== undefined, 'the connection upstream')
      const upstream = new Peer(upstreamSocket as Socket)

      const random = seeded(4)
      const [request, response] = [random.bytes(1_500_001), random.bytes(2_000_003)]
      const piece = () => random.integer(1, random.pick([10, 20_000, 300_000]))
      await Promise.all([sendInPieces(client, request, piece), sendInPieces(upstream, response, piece)])
      await Promise.all([client.untilEnded(), upstream.untilEnded()])
      t.equal(sha256(upstream.received), sha256(request))
      t.equal(sha256(client.received), sha256(response))
      t.strictSame(await ended, { bytesFromA: request.length, bytesFromB: response.length, reason: 'end' })
    })
  }
}
