import { connect } from 'node:net'
import type { Listener } from 'c1m'
import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { freePort } from '../../fixtures/port.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

/** Under the sanitizer, where a reactor takes long to start and stop, every second moment, and half of the rounds. */
const EVERY = SANITIZED ? 2 : 1

const PLACEMENTS = ['least-connections', 'round-robin', 'reuse-port', 'cpu'] as const

const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  )

/** Connects and resets repeatedly. Returns a function that stops this. */
function knock(port: number): () => Promise<void> {
  let stopped = false
  const done = (async () => {
    while (!stopped) {
      await new Promise<void>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.resetAndDestroy())
        socket.on('error', () => {}).on('close', () => resolve())
      })
    }
  })()
  return () => {
    stopped = true
    return done
  }
}

for (const ioThreads of [1, 3]) {
  for (const placement of PLACEMENTS) {
    test(`a shutdown() during listen() leaves nothing behind, ${ioThreads} threads, ${placement}`, async (t) => {
      const port = await freePort()
      const stop = knock(port)
      for (const timeoutMs of [0, 5000]) {
        for (let steps = 0; steps < 16; steps += EVERY) {
          const reactor = makeReactor(t, { ioThreads })
          let opens = 0
          let closes = 0
          const handlers = { open: () => opens++, close: () => closes++ }
          const listening = outcome(reactor.listen({ host: '127.0.0.1', port, placement }, handlers))
          for (let i = 0; i < steps; i++) await (i % 4 === 3 ? new Promise(setImmediate) : Promise.resolve())
          const down = reactor.shutdown({ timeoutMs })
          t.match(await listening, /^(done|ERR_C1M_REACTOR_CLOSED)$/, `after ${steps} steps`)
          await down
          t.equal(closes, opens, 'each connection that opened has closed')
        }
      }
      await stop()
      // Nothing is left at the port.
      await makeReactor(t).listen({ host: '127.0.0.1', port }, {})
    })
  }

  test(`a listener can be closed before listen() resolves, ${ioThreads} threads`, async (t) => {
    for (const placement of PLACEMENTS) {
      for (let round = 0; round < 8; round += EVERY) {
        const port = await freePort()
        const stop = knock(port)
        const reactor = makeReactor(t, { ioThreads })
        let closing: Promise<void> | undefined
        const listener = await reactor.listen(
          { host: '127.0.0.1', port, placement },
          {
            open(conn) {
              closing ??= (conn.listener as Listener).close()
            },
          },
        )
        await until(() => closing !== undefined)
        await closing
        t.ok(listener.closed)
        await stop()
        // A remaining socket would make this fail with EADDRINUSE.
        await (await makeReactor(t).listen({ host: '127.0.0.1', port }, {})).close()
        await reactor.shutdown({ timeoutMs: 0 })
      }
    }
  })
}

test('a closed listener doesn’t count connections of the next listener with its number', async (t) => {
  const { reactor, listener, port } = await serve(t, {})
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  await until(() => listener.connections === 1)
  await listener.close()
  t.equal(listener.connections, 1, 'its own connection stays')
  socket.destroy()
  await until(() => listener.connections === 0)
  for (let i = 0; i < 4; i++) {
    const next = await serve(t, {}, {}, reactor)
    const again = connect(next.port, '127.0.0.1')
    t.teardown(() => again.destroy())
    await until(() => next.listener.connections === 1)
    t.equal(listener.connections, 0)
  }
})
