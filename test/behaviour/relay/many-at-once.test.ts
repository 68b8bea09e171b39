import { relay } from 'c1m'
import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { sha256 } from '../../fixtures/bytes.js'
import { seeded } from '../../fixtures/random.js'
import { makeReactor, TRIGGERS } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

const RELAYS = SANITIZED ? 200 : 500

for (const trigger of TRIGGERS) {
  test(`${RELAYS} relays at once, each with its own bytes (${trigger})`, async (t) => {
    const random = seeded(3)
    const reactor = makeReactor(t, { trigger })
    const pairs = await Promise.all(Array.from({ length: RELAYS }, () => connectPair(t, { reactor })))
    const ended = pairs.map(({ a, b }) => relay(a, b))
    const sent = pairs.map(({ peerA, peerB }) => {
      const fromA = random.bytes(random.integer(0, 100_000))
      const fromB = random.bytes(random.integer(0, 5_000))
      peerA.end(fromA)
      peerB.end(fromB)
      return { fromA, fromB }
    })
    const results = await Promise.all(ended)
    await Promise.all(pairs.flatMap(({ peerA, peerB }) => [peerA.untilEnded(), peerB.untilEnded()]))
    const wrong = pairs.filter(({ peerA, peerB }, i) => {
      const { fromA, fromB } = sent[i] as (typeof sent)[number]
      return sha256(peerA.received) !== sha256(fromB) || sha256(peerB.received) !== sha256(fromA)
    })
    t.equal(wrong.length, 0)
    t.ok(results.every(({ reason }) => reason === 'end'))
    t.equal(reactor.connections.size, 0)
    t.equal(reactor.stats().relayPipes, 0)
  })
}
