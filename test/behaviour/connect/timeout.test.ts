import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'
import { blackhole } from '../../fixtures/blackhole.js'
import { openDescriptors } from '../../fixtures/host.js'
import { block, fence, makeReactor, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`${trigger}: an attempt without a reply rejects with ETIMEDOUT, never early`, async (t) => {
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

test('connectTimeoutMs includes the lookup and all addresses', async (t) => {
  const port = await blackhole(t)
  const reactor = makeReactor(t)
  const expected = { code: 'ETIMEDOUT', message: `connect ETIMEDOUT some.name:${port}` }
  let callBack: (() => void) | undefined
  await t.rejects(
    reactor.connect({
      host: 'some.name',
      port,
      connectTimeoutMs: 50,
      lookup: (_name, _options, callback) => {
        callBack = () => callback(null, [{ address: '127.0.0.1', family: 4 }])
      },
    }),
    expected,
  )
  // A late result of the lookup starts nothing.
  callBack?.()
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

test('connect() resolves for a connection in time, even if this thread was blocked', async (t) => {
  const { port } = await serve(t, {})
  const client = makeReactor(t)
  const attempt = client.connect({ host: '127.0.0.1', port, connectTimeoutMs: 30, idleTimeoutMs: 0 })
  await new Promise((resolve) => process.nextTick(resolve))
  block(100)
  const conn = await attempt
  await sleep(100)
  t.equal(conn.closed, false, 'the connect timeout ends with the attempt')
})

test('an attempt that times out frees its slot for a listener’s next connection', async (t) => {
  const port = await blackhole(t)
  const { reactor, listener, port: own } = await serve(t, {}, {}, { maxConnections: 2 })
  const attempt = reactor.connect({ host: '127.0.0.1', port, connectTimeoutMs: 300 }).catch(({ code }) => code)
  const client = makeReactor(t)
  await Promise.all([1, 2].map(() => client.connect({ host: '127.0.0.1', port: own })))
  t.equal(await attempt, 'ETIMEDOUT')
  await until(() => listener.connections === 2)
})
