import { relay } from 'c1m'
import { test } from 'tap'
import { openPipes } from '../../fixtures/host.js'
import { makeReactor, TRIGGERS, until } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

/** The number of ends of pipes that stay open for reuse: PipePool::kKept in native/net/linux/pipe.h. */
const KEPT = 2 * 32

for (const trigger of TRIGGERS) {
  test(`a relay has pipes only while bytes are in flight (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger })
    const before = openPipes()
    const pairs = await Promise.all(
      Array.from({ length: 40 }, () => connectPair(t, { reactor, listen: { sendBufferBytes: 64 * 1024 } })),
    )
    const ended = pairs.map(({ a, b }) => relay(a, b))
    const block = Buffer.alloc(300_000, 'x')
    for (const { peerA } of pairs) await peerA.flush(block)
    await Promise.all(pairs.map(({ peerB }) => peerB.untilBytes(block.length)))
    await until(() => reactor.stats().relayPipes === 0, 'no pipe in use')
    t.ok(openPipes() - before <= KEPT)

    // More than a pipe and the sockets of a peer that doesn't read hold.
    const much = Buffer.alloc(4 << 20)
    for (const { peerA, peerB } of pairs) {
      peerB.socket.pause()
      peerA.write(much)
    }
    await until(() => reactor.stats().relayPipes > 32, 'pipes in use')
    t.ok(openPipes() - before > KEPT)
    for (const { peerA } of pairs) peerA.reset()
    await Promise.all(ended)
    t.equal(reactor.stats().relayPipes, 0)
    t.ok(openPipes() - before <= KEPT)
    await reactor.shutdown({ timeoutMs: 0 })
    t.equal(openPipes(), before)
  })
}
