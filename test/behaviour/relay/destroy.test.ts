import { type Connection, relay } from 'c1m'
import { test } from 'tap'
import { fence, turns, until } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

const boom = Object.assign(new Error('boom'), { code: 'BOOM' })

test('destroy() of one side destroys the other', async (t) => {
  for (const stalled of [false, true]) {
    const { a, b, peerA, peerB, logA, logB, reactor } = await connectPair(t)
    const ended = relay(a, b)
    if (stalled) {
      peerB.socket.pause()
      peerA.write(Buffer.alloc(32 << 20))
      await until(() => reactor.stats().relayPipes > 0, 'a pipe in use')
    }
    t.equal(a.destroy(boom), true)
    t.equal(a.destroy(), false)
    const { reason, side, error } = await ended
    t.strictSame({ reason, side, error }, { reason: 'destroyed', side: 'a', error: boom })
    t.strictSame(logA, ['open', 'close BOOM'])
    t.strictSame(logB, ['open', 'close ERR_C1M_RELAY_FAILED'])
    peerB.socket.resume()
    await peerB.untilEnded()
    if (!stalled) t.equal(peerB.error, undefined)
  }
})

test('reset() of one side resets the other', async (t) => {
  const { a, b, peerA, peerB } = await connectPair(t)
  const ended = relay(a, b)
  await peerB.flush('x')
  await peerA.untilBytes(1)
  b.reset()
  t.strictSame(await ended, { bytesFromA: 0, bytesFromB: 1, reason: 'destroyed', side: 'b' })
  await Promise.all([peerA.untilClosed(), peerB.untilClosed()])
  t.equal(peerA.error?.code, 'ECONNRESET')
  t.equal(peerB.error?.code, 'ECONNRESET')
})

test('a relay that is destroyed while it starts resolves, and closes both sides', async (t) => {
  for (const when of ['immediately', 'in a microtask', 'in a later turn']) {
    const { a, b, peerA, peerB, logA, logB } = await connectPair(t)
    const ended = relay(a, b)
    if (when === 'in a microtask') await null
    if (when === 'in a later turn') await new Promise(setImmediate)
    b.destroy()
    const { reason, side } = await ended
    t.strictSame({ reason, side }, { reason: 'destroyed', side: 'b' }, when)
    t.strictSame(
      [logA, logB],
      [
        ['open', 'close ERR_C1M_RELAY_FAILED'],
        ['open', 'close'],
      ],
    )
    await Promise.all([peerA.untilEnded(), peerB.untilEnded()])
  }
})

test('a reset in the same batch as relay() closes both sides', async (t) => {
  const { a, b, peerA, peerB, logA, logB } = await connectPair(t)
  peerB.reset()
  await turns(1)
  const ended = relay(a, b).catch((error) => error)
  const result = await ended
  if (result instanceof Error) {
    t.equal((result as NodeJS.ErrnoException).code, 'ERR_C1M_CONNECTION_CLOSED')
    a.destroy()
  } else {
    t.equal(result.reason, 'error')
    t.equal(result.side, 'b')
    t.strictSame(logA, ['open', 'close ERR_C1M_RELAY_FAILED'])
    await peerA.untilClosed()
  }
  t.strictSame(logB, ['open', 'close ECONNRESET'])
})

test('close handlers of relayed connections may destroy both, and are called once each', async (t) => {
  const pair: Connection<undefined>[] = []
  const { a, b, peerA, logA, logB, reactor } = await connectPair(t, {
    handlers: {
      close() {
        for (const conn of pair) {
          conn.destroy()
          conn.reset()
          conn.write('x')
        }
      },
    },
  })
  pair.push(a, b)
  const ended = relay(a, b)
  peerA.reset()
  t.equal((await ended).reason, 'error')
  await fence(reactor)
  t.equal(logA.filter((line) => line.startsWith('close')).length, 1)
  t.equal(logB.filter((line) => line.startsWith('close')).length, 1)
})

test('a signal destroys both sides of a relay', async (t) => {
  const { a, b, peerA, peerB, logA, logB } = await connectPair(t)
  const controller = new AbortController()
  const ended = relay(a, b, { signal: controller.signal })
  await peerA.flush('x')
  await peerB.untilBytes(1)
  controller.abort(boom)
  t.strictSame(await ended, { bytesFromA: 1, bytesFromB: 0, reason: 'aborted', error: boom })
  t.strictSame(
    [logA, logB],
    [
      ['open', 'close BOOM'],
      ['open', 'close BOOM'],
    ],
  )
})
