import { relay } from 'c1m'
import { test } from 'tap'
import { fence, TRIGGERS, until } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

for (const trigger of TRIGGERS) {
  for (const first of ['a', 'b'] as const) {
    test(`when ${first} ends first, its FIN is passed on, and the other way continues (${trigger})`, async (t) => {
      const { a, b, peerA, peerB, logA, logB, reactor } = await connectPair(t, { trigger })
      const [asker, answerer] = first === 'a' ? [peerA, peerB] : [peerB, peerA]
      let over = false
      const ended = relay(a, b).finally(() => {
        over = true
      })
      asker.end('question')
      await answerer.untilEnded()
      t.equal(answerer.text, 'question')
      await fence(reactor)
      t.notOk(over)
      t.notOk(asker.ended)
      for (let i = 0; i < 3; i++) {
        await answerer.flush(`answer ${i}. `)
        await asker.untilBytes(10 * (i + 1))
      }
      answerer.end()
      await asker.untilEnded()
      t.equal(asker.text, 'answer 0. answer 1. answer 2. ')
      const bytes = first === 'a' ? { bytesFromA: 8, bytesFromB: 30 } : { bytesFromA: 30, bytesFromB: 8 }
      t.strictSame(await ended, { ...bytes, reason: 'end' })
      t.strictSame(
        [logA, logB],
        [
          ['open', 'close'],
          ['open', 'close'],
        ],
      )
    })
  }
}

test('an end that was delivered before the relay is passed on as well', async (t) => {
  const { a, b, peerA, peerB, logA } = await connectPair(t)
  peerA.end('read by the handler')
  await until(() => logA.includes('end'))
  const ended = relay(a, b)
  await peerB.untilEnded()
  t.equal(peerB.text, '')
  peerB.end('back')
  t.strictSame(await ended, { bytesFromA: 0, bytesFromB: 4, reason: 'end' })
  await peerA.untilEnded()
  t.equal(peerA.text, 'back')
})
