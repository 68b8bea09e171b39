import { relay } from 'c1m'
import { test } from 'tap'
import { blockUntil, fence, quiet, TRIGGERS, until } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

for (const trigger of TRIGGERS) {
  test(`a relayed connection can't be written, ended or paused (${trigger})`, async (t) => {
    const { a, b, peerA, peerB, logA, logB, reactor } = await connectPair(t, { trigger })
    const ended = relay(a, b)
    for (let i = 0; i < 2; i++) {
      t.equal(a.write('x'), false)
      t.equal(b.end('y'), false)
      t.equal(a.pause(), false)
      t.equal(b.resume(), false)
      t.equal(a.writableLength, 0)
      await fence(reactor)
    }
    await peerA.flush('only this')
    await peerB.untilBytes(9)
    t.equal(peerB.text, 'only this')
    t.equal(a.writableLength, 0)
    t.equal(b.writableLength, 0)
    t.equal((await b.getOptions()).keepAlive, false)
    peerA.end()
    peerB.end()
    await ended
    t.equal(peerA.text, '', 'the refused write was not sent')
    t.strictSame([...logA, ...logB], ['open', 'close', 'open', 'close'])
  })

  test(`bytes written before the relay are sent first (${trigger})`, async (t) => {
    const { a, b, peerA, peerB, logB, reactor } = await connectPair(t, { trigger })
    peerB.socket.pause()
    const written = Buffer.alloc(8 << 20, 'w')
    t.equal(b.write(written), false)
    b.write('. ')
    const ended = relay(a, b)
    peerA.end('relayed')
    await quiet(reactor)
    t.ok(b.writableLength > 0)
    peerB.socket.resume()
    await peerB.untilEnded()
    t.equal(peerB.length, written.length + 9)
    t.equal(peerB.received.subarray(written.length).toString(), '. relayed')
    t.equal(b.writableLength, 0)
    peerB.end()
    t.strictSame(await ended, { bytesFromA: 7, bytesFromB: 0, reason: 'end' })
    t.strictSame(logB, ['open', 'close'])
  })
}

test('a blocked JS thread doesn’t delay a relay', async (t) => {
  const { a, b, peerA, peerB, reactor } = await connectPair(t)
  void relay(a, b)
  await until(() => reactor.stats().relays === 1, 'the start')
  await peerA.flush(Buffer.alloc(100_000))
  blockUntil(() => reactor.stats().bytesRelayed === 100_000)
  await peerB.untilBytes(100_000)
  t.equal(reactor.stats().relays, 1)
  a.destroy()
})
