import { type Connection, relay } from 'c1m'
import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { sha256 } from '../../fixtures/bytes.js'
import { seeded } from '../../fixtures/random.js'
import { block, TRIGGERS, until } from '../../fixtures/reactor.js'
import { connectPair, sendInPieces } from '../../fixtures/relay.js'

/** Each starts at another moment, in other traffic. */
const RELAYS = SANITIZED ? 6 : 12

for (const trigger of TRIGGERS) {
  for (const read of ['owned', 'borrowed'] as const) {
    test(`a relay that starts in the middle of traffic loses nothing (${trigger}, ${read})`, async (t) => {
      for (let number = 1; number <= RELAYS; number++) {
        const random = seeded(number)
        const startAt = random.integer(0, 60)
        let chunks = 0
        let late = 0
        let other: ((conn: Connection<undefined>) => Connection<undefined>) | undefined
        let relayed: Promise<unknown> | undefined
        const { a, b, peerA, peerB } = await connectPair(t, {
          trigger,
          listen: { read, highWaterMark: 1 << 28, maxWriteQueue: 1 << 30 },
          handlers: {
            // Until the relay starts, the handlers pass bytes on.
            data(conn, chunk) {
              if (relayed !== undefined) late++
              other?.(conn).write(chunk)
              // Further events are buffered meanwhile.
              if (chunks % 7 === 0) block(2)
              if (chunks++ === startAt) relayed = relay(a, b)
            },
          },
        })
        other = (conn) => (conn === a ? b : a)
        const fromA = random.bytes(random.integer(1, 2_000_000))
        const fromB = random.bytes(random.integer(1, 2_000_000))
        const piece = () => random.integer(1, random.pick([100, 40_000]))
        await Promise.all([sendInPieces(peerA, fromA, piece), sendInPieces(peerB, fromB, piece)])
        relayed ??= relay(a, b)
        await until(() => peerA.ended && peerB.ended, 'both ends')
        await relayed
        t.equal(late, 0, 'no data handler is called after the start')
        t.equal(sha256(peerB.received), sha256(fromA), `from a, seed ${random.seed}`)
        t.equal(sha256(peerA.received), sha256(fromB), `from b, seed ${random.seed}`)
      }
    })
  }
}
