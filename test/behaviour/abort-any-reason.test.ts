import { relay } from 'c1m'
import { test } from 'tap'
import { makeReactor, until } from '../fixtures/reactor.js'
import { connectPair } from '../fixtures/relay.js'

test('a reason that has no text aborts all that waits for the signal', async (t) => {
  const reasons: unknown[] = [
    Object.create(null),
    {
      toString() {
        throw new Error('no text')
      },
    },
    Symbol('why'),
  ]
  for (const reason of reasons) {
    const controller = new AbortController()
    const { signal } = controller
    const first = await connectPair(t)
    const second = await connectPair(t)
    const relays = [relay(first.a, first.b, { signal }), relay(second.a, second.b, { signal })]
    const attempt = makeReactor(t)
      .connect({ host: 'some.name', port: 1, lookup: () => {}, signal })
      .catch((error) => error)
    controller.abort(reason)
    for (const result of await Promise.all(relays)) {
      t.equal(result.reason, 'aborted')
      t.ok(result.error instanceof Error)
    }
    t.equal(await attempt, reason)
    await until(() => first.reactor.connections.size === 0)
  }
})
