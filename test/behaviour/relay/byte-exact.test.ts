import { setTimeout as sleep } from 'node:timers/promises'
import { relay } from 'c1m'
import { test } from 'tap'
import { sha256 } from '../../fixtures/bytes.js'
import type { Peer } from '../../fixtures/peer.js'
import { type Random, seeded } from '../../fixtures/random.js'
import { TRIGGERS } from '../../fixtures/reactor.js'
import { connectPair, sendInPieces } from '../../fixtures/relay.js'

/** Reads with random breaks, so that the sender is throttled repeatedly. */
async function readSlowly(peer: Peer, random: Random): Promise<void> {
  while (!peer.ended && !peer.closed) {
    peer.socket.pause()
    await sleep(random.integer(1, 15))
    peer.socket.resume()
    await sleep(random.integer(1, 5))
  }
}

for (const trigger of TRIGGERS) {
  for (const slow of [false, true]) {
    test(`a relay passes on every byte both ways${slow ? ', to slow readers' : ''} (${trigger})`, async (t) => {
      const random = seeded(slow ? 1 : 2)
      const { a, b, peerA, peerB, reactor } = await connectPair(t, { trigger })
      const fromA = random.bytes(6_000_011)
      const fromB = random.bytes(4_000_003)
      const piece = () => random.integer(1, random.pick([10, 5_000, 400_000]))
      const ended = relay(a, b)
      if (slow) void Promise.all([readSlowly(peerA, random), readSlowly(peerB, random)])
      await Promise.all([sendInPieces(peerA, fromA, piece), sendInPieces(peerB, fromB, piece)])
      const result = await ended
      await Promise.all([peerA.untilEnded(), peerB.untilEnded()])
      t.strictSame(result, { bytesFromA: fromA.length, bytesFromB: fromB.length, reason: 'end' })
      t.equal(sha256(peerB.received), sha256(fromA))
      t.equal(sha256(peerA.received), sha256(fromB))
      t.ok(reactor.stats().bytesRelayed <= fromA.length + fromB.length)
      t.equal(reactor.stats().relayPipes, 0)
    })
  }
}
