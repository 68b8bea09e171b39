import { test } from 'tap'
import { openDescriptors } from '../../fixtures/host.js'
import { freePort } from '../../fixtures/port.js'
import { fence, makeReactor, record, serve, TRIGGERS, turns } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`${trigger}: a refused connection rejects as in node:net, and leaves nothing behind`, async (t) => {
    const port = await freePort()
    const reactor = makeReactor(t, { trigger })
    // The descriptors of the previous reactor are released a little later.
    await turns()
    const before = openDescriptors()
    const log: string[] = []
    const error = await reactor.connect({ host: '127.0.0.1', port }, record(log)).catch((reason) => reason)
    t.match(error, {
      name: 'Error',
      message: `connect ECONNREFUSED 127.0.0.1:${port}`,
      code: 'ECONNREFUSED',
      errno: -111,
      syscall: 'connect',
      address: '127.0.0.1',
      port,
    })
    await fence(reactor)
    t.strictSame(log, [])
    t.equal(openDescriptors(), before)
    t.equal(reactor.connections.size, 0)
    t.strictSame(await reactor.shutdown(), { drained: 0, cut: 0 })
  })
}

test('many attempts refused at the same time release their slots', async (t) => {
  const port = await freePort()
  const reactor = makeReactor(t, { maxConnections: 300 })
  for (let round = 0; round < 3; round++) {
    const results = await Promise.allSettled(
      Array.from({ length: 300 }, () => reactor.connect({ host: '127.0.0.1', port })),
    )
    for (const result of results) t.match(result, { status: 'rejected', reason: { code: 'ECONNREFUSED' } })
  }
})

test('connect() rejects at maxConnections, and works again when a slot is free', async (t) => {
  const { port } = await serve(t, {})
  const reactor = makeReactor(t, { maxConnections: 2 })
  const [first] = await Promise.all([1, 2].map(() => reactor.connect({ host: '127.0.0.1', port })))
  await t.rejects(reactor.connect({ host: '127.0.0.1', port }), {
    name: 'C1mError',
    code: 'ERR_C1M_MAX_CONNECTIONS',
  })
  first?.destroy()
  for (;;) {
    const outcome = await reactor.connect({ host: '127.0.0.1', port }).catch(({ code }) => code)
    if (outcome !== 'ERR_C1M_MAX_CONNECTIONS') {
      t.equal(outcome.closed, false)
      break
    }
  }
})

test('an unreachable address rejects with the error of the system', async (t) => {
  const reactor = makeReactor(t)
  await t.rejects(reactor.connect({ host: '255.255.255.255', port: 9 }), { code: 'ENETUNREACH', message: /^connect/ })
  await t.rejects(reactor.connect({ host: 'fe80::1%nowhere', port: 9 }), { code: 'ENODEV', message: /^connect/ })
})

test('the error names an option that the kernel refuses', async (t) => {
  const { reactor, port } = await serve(t, {})
  const attempt = (options: object) => reactor.connect({ host: '127.0.0.1', port, ...options })
  await t.rejects(attempt({ congestion: 'no-such-thing' }), { code: 'ENOENT', message: /congestion/ })
  t.equal(reactor.connections.size, 0)
})
