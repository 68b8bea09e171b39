import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { freePort } from '../../fixtures/port.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'listening',
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  )

test('a listen() in progress rejects when the reactor shuts down', async (t) => {
  for (const timeoutMs of [0, 5000]) {
    // Each round lets listen() get one step further.
    for (let steps = 0; steps < 12; steps++) {
      const reactor = makeReactor(t)
      const result = outcome(reactor.listen({ host: '127.0.0.1', port: 0 }, {}))
      for (let i = 0; i < steps; i++) await Promise.resolve()
      const shutdown = reactor.shutdown({ timeoutMs })
      t.equal(await result, 'ERR_C1M_REACTOR_CLOSED')
      t.strictSame(await shutdown, { drained: 0, cut: 0 })
    }
  }
})

test('a listen() that resolves a name rejects when the reactor shuts down', async (t) => {
  const reactor = makeReactor(t)
  const result = outcome(reactor.listen({ host: 'localhost', port: 0 }, {}))
  await reactor.shutdown({ timeoutMs: 0 })
  t.equal(await result, 'ERR_C1M_REACTOR_CLOSED')
})

test('a listen() at a used port rejects when the reactor shuts down', async (t) => {
  const { port } = await serve(t, {})
  const reactor = makeReactor(t)
  const result = outcome(reactor.listen({ host: '127.0.0.1', port }, {}))
  await reactor.shutdown({ timeoutMs: 0 })
  t.match(await result, /^(EADDRINUSE|ERR_C1M_REACTOR_CLOSED)$/)
})

test('the port of a listen() that a shutdown has rejected is free', async (t) => {
  const { listener, port } = await serve(t, {})
  await listener.close()
  const reactor = makeReactor(t)
  const result = outcome(reactor.listen({ host: '127.0.0.1', port }, {}))
  await Promise.resolve().then(() => Promise.resolve())
  await reactor.shutdown()
  t.equal(await result, 'ERR_C1M_REACTOR_CLOSED')
  await makeReactor(t).listen({ host: '127.0.0.1', port }, {})
})

test('listen() rejects during and after a shutdown', async (t) => {
  const { reactor, port } = await serve(t, {}, { port: await freePort() })
  const shutdown = reactor.shutdown()
  t.equal(await outcome(reactor.listen({ port: 0 }, {})), 'ERR_C1M_REACTOR_CLOSED', 'during the shutdown')
  await shutdown
  t.equal(await outcome(reactor.listen({ port: 0 }, {})), 'ERR_C1M_REACTOR_CLOSED', 'after the shutdown')
  // Bad options are reported first, because they are wrong at any time.
  t.equal(await outcome(reactor.listen({ port: -1 }, {})), 'ERR_C1M_OUT_OF_RANGE')
  await t.rejects(connectPeer(t, port), { code: 'ECONNREFUSED' })
})

test('requests in flight settle when the reactor shuts down', async (t) => {
  const answers: string[] = []
  const { reactor, port } = await serve(t, {
    open(conn) {
      const note = (promise: Promise<unknown>) =>
        promise.then(
          () => answers.push('answered'),
          (error: NodeJS.ErrnoException) => answers.push(error.code ?? error.message),
        )
      void note(conn.tcpInfo())
      void note(conn.getOptions())
      void reactor.shutdown({ timeoutMs: 0 })
      void note(conn.getOptions())
    },
  })
  await connectPeer(t, port)
  await until(() => answers.length === 3)
  for (const answer of answers) t.match(answer, /^(answered|ERR_C1M_CONNECTION_CLOSED)$/)
  await reactor.shutdown()
})
