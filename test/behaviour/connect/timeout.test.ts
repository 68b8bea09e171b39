import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'
import { blackhole } from '../../fixtures/blackhole.js'
import { openDescriptors } from '../../fixtures/host.js'
import { block, fence, makeReactor, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`${trigger}: an attempt that nobody answers ends with ETIMEDOUT, not before its time`, async (t) => {
    const port = await blackhole(t)
    const reactor = makeReactor(t, { trigger })
    const before = openDescriptors()
    const log: string[] = []
    const start = performance.now()
    const error = await reactor
      .connect({ host: '127.0.0.1', port, connectTimeoutMs: 120 }, record(log))
      .catch((reason) => reason)
    t.ok(performance.now() - start >= 119)
    t.match(error, {
      message: `connect ETIMEDOUT 127.0.0.1:${port}`,
      code: 'ETIMEDOUT',
      errno: -110,
      syscall: 'connect',
      address: '127.0.0.1',
      port,
    })
    await fence(reactor)
    t.strictSame(log, [])
    t.equal(openDescriptors(), before)
  })
}

test('the time includes the lookup, and all addresses', async (t) => {
  const port = await blackhole(t)
  const reactor = makeReactor(t)
  const expected = { code: 'ETIMEDOUT', message: `connect ETIMEDOUT some.name:${port}` }
  let answer: (() => void) | undefined
  await t.rejects(
    reactor.connect({
      host: 'some.name',
      port,
      connectTimeoutMs: 50,
      lookup: (_name, _options, callback) => {
        answer = () => callback(null, [{ address: '127.0.0.1', family: 4 }])
      },
    }),
    expected,
  )
  // It comes too late, and starts nothing.
  answer?.()
  await t.rejects(
    reactor.connect({
      host: 'some.name',
      port,
      connectTimeoutMs: 100,
      autoSelectFamilyAttemptTimeout: 20,
      lookup: (_name, _options, callback) =>
        callback(
          null,
          Array.from({ length: 3 }, () => ({ address: '127.0.0.1', family: 4 })),
        ),
    }),
    expected,
  )
  t.strictSame(await reactor.shutdown(), { drained: 0, cut: 0 })
})

test('a connection that came in time is there, also if this thread was busy meanwhile', async (t) => {
  const { port } = await serve(t, {})
  const client = makeReactor(t)
  const attempt = client.connect({ host: '127.0.0.1', port, connectTimeoutMs: 30, idleTimeoutMs: 0 })
  await new Promise((resolve) => process.nextTick(resolve))
  block(100)
  const conn = await attempt
  await sleep(100)
  t.equal(conn.closed, false, 'its time ends with the attempt')
})

test('a slot that times out makes room for a listener’s next connection', async (t) => {
  const port = await blackhole(t)
  const { reactor, listener, port: own } = await serve(t, {}, {}, { maxConnections: 2 })
  const attempt = reactor.connect({ host: '127.0.0.1', port, connectTimeoutMs: 300 }).catch(({ code }) => code)
  const client = makeReactor(t)
  await Promise.all([1, 2].map(() => client.connect({ host: '127.0.0.1', port: own })))
  t.equal(await attempt, 'ETIMEDOUT')
  await until(() => listener.connections === 2)
})
