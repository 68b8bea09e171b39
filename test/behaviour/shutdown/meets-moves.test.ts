import { relay } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, TRIGGERS, until } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

/** The max number of event loop turns between the call and the shutdown, enough for all the steps of a move. */
const TURNS = 10

for (const trigger of TRIGGERS) {
  for (const timeoutMs of [0, 50]) {
    test(`relay() over two threads settles with shutdown() (${timeoutMs} ms) at any time (${trigger})`, async (t) => {
      for (let turns = 0; turns < TURNS; turns++) {
        const reactor = makeReactor(t, { trigger, ioThreads: 2 })
        const { a, b, logA, logB } = await connectPair(t, { reactor, listen: { placement: 'round-robin' } })
        const relayed = relay(a, b)
        for (let i = 0; i < turns; i++) await (i % 2 === 0 ? Promise.resolve() : new Promise(setImmediate))
        await reactor.shutdown({ timeoutMs })
        t.equal((await relayed).reason, 'destroyed')
        t.match([logA.at(-1), logB.at(-1)], [/^close/, /^close/])
      }
    })
  }

  test(`rebalance() settles with a shutdown() at any time (${trigger})`, async (t) => {
    for (let turns = 0; turns < TURNS; turns++) {
      let closes = 0
      const { reactor, port } = await serve(
        t,
        { close: () => void closes++ },
        { placement: 'source-hash' },
        { trigger, ioThreads: 4 },
      )
      await Promise.all(Array.from({ length: 16 }, () => connectPeer(t, port)))
      await until(() => reactor.connections.size === 16)
      const moved = reactor.rebalance({ idleMs: 0 })
      for (let i = 0; i < turns; i++) await (i % 2 === 0 ? Promise.resolve() : new Promise(setImmediate))
      t.strictSame(await reactor.shutdown({ timeoutMs: 0 }), { drained: 0, cut: 16 })
      t.ok((await moved) <= 12)
      t.equal(closes, 16)
    }
  })
}
