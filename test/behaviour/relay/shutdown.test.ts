import { relay } from 'c1m'
import { test } from 'tap'
import { openPipes } from '../../fixtures/host.js'
import { fence, quiet } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

test('shutdown() waits for the end of a relay', async (t) => {
  const { a, b, peerA, peerB, reactor } = await connectPair(t)
  const ended = relay(a, b)
  await peerA.flush('before')
  await peerB.untilBytes(6)
  const down = reactor.shutdown()
  await fence(reactor)
  await peerA.flush(', meanwhile')
  await peerB.untilBytes(17)
  t.notOk(peerB.ended)
  peerA.end()
  peerB.end('bye')
  t.strictSame(await ended, { bytesFromA: 17, bytesFromB: 3, reason: 'end' })
  t.strictSame(await down, { drained: 2, cut: 0 })
})

test('shutdown() cuts a relay at its deadline', async (t) => {
  const pipes = openPipes()
  const { a, b, peerA, peerB, reactor, logA, logB } = await connectPair(t)
  const ended = relay(a, b)
  peerB.socket.pause()
  peerA.write(Buffer.alloc(32 << 20))
  await quiet(reactor)
  t.strictSame(await reactor.shutdown({ timeoutMs: 50 }), { drained: 0, cut: 2 })
  const { reason, error } = await ended
  t.equal(reason, 'destroyed')
  t.equal((error as NodeJS.ErrnoException).code, 'ERR_C1M_SHUTDOWN')
  t.strictSame(
    [logA, logB],
    [
      ['open', 'close ERR_C1M_SHUTDOWN'],
      ['open', 'close ERR_C1M_SHUTDOWN'],
    ],
  )
  t.equal(openPipes(), pipes)
})

test('a shutdown handler of a relayed connection is called, and may destroy it', async (t) => {
  let calls = 0
  const { a, b, reactor } = await connectPair(t, {
    handlers: {
      shutdown(conn) {
        calls++
        conn.destroy()
      },
    },
  })
  const ended = relay(a, b)
  await fence(reactor)
  await reactor.shutdown()
  t.equal((await ended).reason, 'destroyed')
  t.equal(calls, 2)
})
