import { relay } from 'c1m'
import { test } from 'tap'
import { temporaryFile } from '../../fixtures/file.js'
import { makePool } from '../../fixtures/pool.js'
import { makeReactor, until } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

/** A signal as libraries from before Node 16 make it: with neither a reason nor `throwIfAborted()`. */
class OldSignal extends EventTarget {
  aborted = false
  abort(): void {
    this.aborted = true
    this.dispatchEvent(new Event('abort'))
  }
}

test('a signal without a reason aborts with an AbortError, before the call and during it', async (t) => {
  const { a, b, peerA } = await connectPair(t)
  const { path } = temporaryFile(t, 100)
  const pool = makePool(t)
  const reactor = makeReactor(t)
  const unanswered = { host: 'some.name', port: 1, lookup: () => {} }
  for (const when of ['before', 'during']) {
    const old = new OldSignal()
    const signal = old as unknown as AbortSignal
    if (when === 'before') old.abort()
    const all = [reactor.connect({ ...unanswered, signal }), pool.run({ kind: 'sleep', value: 10_000 }, { signal })]
    if (when === 'before') all.push(a.sendFile(path, { signal }) as never)
    const failures = all.map((one) => t.rejects(one, { name: 'AbortError' }, when))
    if (when === 'during') old.abort()
    await Promise.all(failures)
  }
  const old = new OldSignal()
  const relayed = relay(a, b, { signal: old as unknown as AbortSignal })
  peerA.write('.')
  old.abort()
  t.match(await relayed, { reason: 'aborted', error: { name: 'AbortError' } })
})

test('a reason that has no text aborts all operations with that signal', async (t) => {
  const reasons: unknown[] = [
    Object.create(null),
    {
      toString() {
        throw new Error('no text')
      },
    },
    Symbol('why'),
    null,
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
