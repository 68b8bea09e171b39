import { relay } from 'c1m'
import { test } from 'tap'
import { fence, TRIGGERS } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

for (const trigger of TRIGGERS) {
  test(`events buffered by pause() are relayed, with the end behind them (${trigger})`, async (t) => {
    const { a, b, peerA, peerB, logA, logB, reactor } = await connectPair(t, { trigger })
    await peerA.flush('in a batch, ')
    await peerA.endAndBlock(30) // all bytes are in the next batch
    a.pause()
    b.pause()
    await fence(reactor)
    const ended = relay(a, b)
    t.notOk(a.paused)
    t.notOk(b.paused)
    await peerB.untilEnded()
    t.equal(peerB.text, 'in a batch, ')
    peerB.end('in the kernel')
    t.strictSame(await ended, { bytesFromA: 12, bytesFromB: 13, reason: 'end' })
    await peerA.untilEnded()
    t.equal(peerA.text, 'in the kernel')
    t.strictSame(logA, ['open', 'close'])
    t.strictSame(logB, ['open', 'close'])
  })

  test(`bytes in the kernel of a paused connection are relayed (${trigger})`, async (t) => {
    const { a, b, peerA, peerB, reactor } = await connectPair(t, { trigger })
    a.pause()
    await fence(reactor)
    await peerA.flush('waiting')
    await fence(reactor)
    void relay(a, b)
    await peerB.untilBytes(7)
    t.equal(peerB.text, 'waiting')
    a.destroy()
  })
}
