import { Reactor } from 'c1m'
import { test } from 'tap'
import { blackhole } from '../../fixtures/blackhole.js'
import { openDescriptors } from '../../fixtures/host.js'
import { blockUntil, fence, makeReactor, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`${trigger}: an abort rejects immediately with its reason, and leaves nothing behind`, async (t) => {
    const port = await blackhole(t)
    const reactor = makeReactor(t, { trigger })
    const before = openDescriptors()
    const log: string[] = []
    const controller = new AbortController()
    const attempt = reactor.connect({ host: '127.0.0.1', port, signal: controller.signal }, record(log))
    await until(() => openDescriptors() === before + 1)
    const reason = new Error('changed my mind')
    controller.abort(reason)
    t.equal(await attempt.catch((error) => error), reason)
    await until(() => openDescriptors() === before)
    t.strictSame(log, [])
  })

  test(`${trigger}: a connection established just before the abort is closed without events`, async (t) => {
    const { reactor: server, listener, port } = await serve(t, {}, {}, { trigger })
    const client = makeReactor(t, { trigger })
    const log: string[] = []
    for (let i = 0; i < 20; i++) {
      const controller = new AbortController()
      const attempt = client.connect({ host: '127.0.0.1', port, signal: controller.signal }, record(log))
      await new Promise((resolve) => process.nextTick(resolve))
      // The connection is open on the I/O thread, and its open has not been delivered.
      blockUntil(() => client.stats().connected === i + 1)
      controller.abort()
      await t.rejects(attempt, { name: 'AbortError' })
    }
    await until(() => client.connections.size === 0 && listener.connections === 0)
    t.strictSame(log, [])
    await until(() => server.stats().closed === server.stats().accepted)
  })
}

test('an aborted signal rejects before anything is done', async (t) => {
  const reactor = makeReactor(t)
  const lookup = () => t.fail('looked up')
  const signal = AbortSignal.abort(new Error('no'))
  await t.rejects(reactor.connect({ host: 'some.name', port: 1, lookup, signal }), { message: 'no' })
  await t.rejects(reactor.connect({ host: 'some.name', port: 0, lookup, signal }), { code: 'ERR_C1M_OUT_OF_RANGE' })
})

test('an abort ends a lookup, and a timeout signal rejects with a TimeoutError', async (t) => {
  const reactor = makeReactor(t)
  const never = { host: 'some.name', port: 1, lookup: () => {} }
  const controller = new AbortController()
  const attempt = reactor.connect({ ...never, signal: controller.signal })
  controller.abort()
  await t.rejects(attempt, { name: 'AbortError' })
  await t.rejects(reactor.connect({ ...never, signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
})

test('an abort has no effect on an open connection', async (t) => {
  const { reactor, port } = await serve(t, {})
  const controller = new AbortController()
  const conn = await reactor.connect({ host: '127.0.0.1', port, signal: controller.signal })
  controller.abort()
  await fence(reactor)
  t.equal(conn.closed, false)
})

test('one signal aborts thousands of attempts', async (t) => {
  const port = await blackhole(t)
  const reactor = makeReactor(t)
  const before = openDescriptors()
  const controller = new AbortController()
  const warnings: Error[] = []
  const warn = (warning: Error) => void warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  const attempts = Array.from({ length: 3000 }, () =>
    reactor.connect({ host: '127.0.0.1', port, signal: controller.signal }),
  )
  await until(() => openDescriptors() > before + 1000)
  controller.abort()
  for (const result of await Promise.allSettled(attempts)) {
    t.match(result, { status: 'rejected', reason: { name: 'AbortError' } })
  }
  await until(() => openDescriptors() === before)
  t.strictSame(warnings, [])
})

test('a shutdown rejects attempts', async (t) => {
  const port = await blackhole(t)
  const reactor = new Reactor()
  const looking = reactor.connect({ host: 'some.name', port, lookup: () => {} }).catch(({ code }) => code)
  const trying = reactor.connect({ host: '127.0.0.1', port }).catch(({ code }) => code)
  const started = reactor.connect({ host: '127.0.0.1', port }).catch(({ code }) => code)
  await fence(reactor)
  const untold = reactor.connect({ host: '127.0.0.1', port }).catch(({ code }) => code)
  t.strictSame(await reactor.shutdown(), { drained: 0, cut: 0 })
  const codes = await Promise.all([looking, trying, started, untold])
  t.strictSame(codes, Array(4).fill('ERR_C1M_REACTOR_CLOSED'))
})
