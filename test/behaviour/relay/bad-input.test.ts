import { relay } from 'c1m'
import { test } from 'tap'
import { until } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

test('relay() with bad arguments rejects, and has no effect', async (t) => {
  const { a, b, peerA, logA } = await connectPair(t)
  const other = await connectPair(t)
  const bad: [args: unknown[], code: string, name: string][] = [
    [[undefined, b], 'ERR_C1M_INVALID_ARG_TYPE', 'TypeError'],
    [[a, {}], 'ERR_C1M_INVALID_ARG_TYPE', 'TypeError'],
    [[a, b, 5], 'ERR_C1M_INVALID_ARG_TYPE', 'TypeError'],
    [[a, b, { idleTimeoutMs: '1' }], 'ERR_C1M_INVALID_ARG_TYPE', 'TypeError'],
    [[a, b, { idleTimeoutMs: -1 }], 'ERR_C1M_OUT_OF_RANGE', 'RangeError'],
    [[a, b, { idleTimeoutMs: 1.5 }], 'ERR_C1M_OUT_OF_RANGE', 'RangeError'],
    [[a, b, { signal: {} }], 'ERR_C1M_INVALID_ARG_TYPE', 'TypeError'],
    [[a, b, { idleTimeout: 5 }], 'ERR_C1M_INVALID_ARG_VALUE', 'TypeError'],
    [[a, a], 'ERR_C1M_INVALID_ARG_VALUE', 'TypeError'],
    [[a, other.b], 'ERR_C1M_INVALID_ARG_VALUE', 'TypeError'],
    [[a, b, { signal: AbortSignal.abort() }], 'ABORT_ERR', 'AbortError'],
  ]
  for (const [args, code, name] of bad) {
    const error = await relay(...(args as Parameters<typeof relay>)).then(
      () => undefined,
      (reason) => reason,
    )
    t.equal(error?.name, name)
    // The `code` of a DOMException is a number.
    if (code !== 'ABORT_ERR') t.equal(error?.code, code)
  }
  await peerA.flush('still read here')
  await until(() => logA.includes('data still read here'), 'data at the handler')
  t.equal(a.write('x'), true)
})

test('relay() rejects for a connection that has closed, was ended, or is being relayed', async (t) => {
  const { a, b, peerB, logB } = await connectPair(t)
  const third = await connectPair(t, { reactor: (await connectPair(t)).reactor })
  await t.rejects(relay(a, third.a), { code: 'ERR_C1M_INVALID_ARG_VALUE' }, 'of another reactor')
  third.a.end()
  await t.rejects(relay(third.b, third.a), { code: 'ERR_C1M_CONNECTION_CLOSED' })
  third.a.destroy()
  await t.rejects(relay(third.a, third.b), { code: 'ERR_C1M_CONNECTION_CLOSED' })
  const ended = relay(a, b)
  await t.rejects(relay(b, a), { code: 'ERR_C1M_INVALID_ARG_VALUE' })
  peerB.reset()
  t.equal((await ended).reason, 'error')
  await until(() => logB.some((line) => line.startsWith('close')), 'the close')
  await t.rejects(relay(a, b), { code: 'ERR_C1M_CONNECTION_CLOSED' })
})
