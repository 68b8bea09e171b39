import { relay } from 'c1m'
import { test } from 'tap'
import { TRIGGERS, until } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

for (const trigger of TRIGGERS) {
  for (const stalled of [false, true]) {
    test(`a reset of one side resets the other${stalled ? ', with bytes in flight' : ''} (${trigger})`, async (t) => {
      const { a, b, peerA, peerB, logA, logB, reactor } = await connectPair(t, { trigger })
      const ended = relay(a, b)
      if (stalled) {
        peerB.socket.pause()
        peerA.write(Buffer.alloc(32 << 20))
        // The bytes are in a pipe, or in the queue if the last ones were copied.
        const inFlight = ({ relayPipes, queueBytes }: ReturnType<typeof reactor.stats>) =>
          relayPipes > 0 || queueBytes > 0
        await until(() => reactor.stats().bytesRelayed > 0 && inFlight(reactor.stats()), 'bytes in flight')
      } else {
        await peerA.flush('hello')
        await peerB.untilBytes(5)
      }
      peerA.reset()
      const { reason, side, error } = await ended
      t.equal(reason, 'error')
      t.equal(side, 'a')
      t.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET')
      peerB.socket.resume()
      await peerB.untilEnded()
      // libuv takes a reset behind unread bytes for an end; relay_test.cc checks that it is a reset.
      if (!stalled) t.equal(peerB.error?.code, 'ECONNRESET')
      t.strictSame(logA, ['open', 'close ECONNRESET'])
      t.strictSame(logB, ['open', 'close ERR_C1M_RELAY_FAILED'])
      await until(() => reactor.stats().relayPipes === 0, 'no pipe in use')
    })
  }
}
