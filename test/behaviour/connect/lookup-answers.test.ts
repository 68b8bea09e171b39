import type { LookupFunction } from 'node:net'
import { test } from 'tap'
import { makeReactor, serve } from '../../fixtures/reactor.js'

/** Returns a lookup that calls back with these arguments, of which the error is the first. */
const answering = (...answer: unknown[]): LookupFunction =>
  ((_host: string, _options: unknown, callback: (...given: unknown[]) => void) => callback(...answer)) as LookupFunction

test('an unexpected result of a lookup rejects', async (t) => {
  const reactor = makeReactor(t)
  const answers: readonly unknown[] = [
    undefined,
    null,
    7,
    {},
    'no address',
    [null],
    [undefined],
    [{}],
    [{ address: 7, family: 4 }],
    [{ address: '127.0.0.1', family: 4 }, null],
    [['127.0.0.1']],
    Symbol('s'),
    () => {},
    Object.create(null),
  ]
  for (const answer of answers) {
    const attempt = reactor.connect({ host: 'some.name', port: 1, lookup: answering(null, answer) })
    await t.rejects(attempt, { code: 'ERR_C1M_INVALID_ARG_VALUE', message: /"lookup"/ })
  }
  await t.rejects(reactor.connect({ host: 'some.name', port: 1, lookup: answering(null, []) }), { code: 'ENOTFOUND' })
  await t.rejects(reactor.connect({ host: 'some.name', port: 1, lookup: answering(null) }), {
    code: 'ERR_C1M_INVALID_ARG_VALUE',
  })
  const own = new Error('mine')
  await t.rejects(reactor.connect({ host: 'some.name', port: 1, lookup: answering(own) }), own)
  await t.rejects(
    reactor.connect({
      host: 'some.name',
      port: 1,
      lookup: () => {
        throw own
      },
    }),
    own,
  )
  const rejected = reactor.connect({ host: 'some.name', port: 1, lookup: answering('not an error') })
  await rejected.catch((reason) => t.equal(reason, 'not an error'))
  t.equal(reactor.connections.size, 0)
})

test('the second callback of a lookup is ignored', async (t) => {
  const { reactor, port } = await serve(t, {})
  let times = 0
  const twice = ((_host, _options, callback) => {
    callback(null, '127.0.0.1', 4)
    callback(null, '127.0.0.1', 4)
    times++
  }) as LookupFunction
  const conn = await reactor.connect({ host: 'some.name', port, lookup: twice })
  t.equal(times, 1)
  t.equal(reactor.stats().connected, 1)
  conn.reset()
})

test('the rejection of an async lookup rejects the attempt', async (t) => {
  const reactor = makeReactor(t)
  const own = new Error('mine')
  const lookup = (async () => Promise.reject(own)) as LookupFunction
  await t.rejects(reactor.connect({ host: 'some.name', port: 1, lookup }), own)
})
