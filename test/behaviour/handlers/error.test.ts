import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection, Handlers } from 'c1m'
import { type Test, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

const NAMES = ['open', 'data', 'drain', 'timeout', 'shutdown', 'end', 'close'] as const
type Name = (typeof NAMES)[number]

/** Returns handlers each of which causes the call of the next one, and then throws or rejects. */
function failing(log: string[], how: 'throws' | 'rejects'): Handlers<undefined> {
  const act: Partial<Record<Name, (conn: Connection<undefined>) => unknown>> = {
    data: (conn) => conn.write(Buffer.alloc(200_000)),
    drain: (conn) => conn.setTimeout(1),
    timeout: (conn) => conn.setTimeout(0),
    shutdown: (conn) => conn.end(),
  }
  const handler = (name: Name) => (conn: Connection<undefined>) => {
    act[name]?.(conn)
    const error = new Error(name)
    if (how === 'rejects') return sleep(1).then(() => Promise.reject(error))
    throw error
  }
  return {
    ...Object.fromEntries(NAMES.map((name) => [name, handler(name)])),
    error(conn, error) {
      log.push(`${(error as Error).message} of ${typeof conn.id}`)
    },
  }
}

for (const how of ['throws', 'rejects'] as const) {
  test(`what a handler ${how} goes to \`error\`, and ends neither the process nor the connection`, async (t) => {
    const log: string[] = []
    const { reactor, port } = await serve(t, failing(log, how))
    const peer = await connectPeer(t, port)
    peer.socket.on('end', () => peer.end())
    peer.write('hello')
    await until(() => log.some((line) => line.startsWith('timeout')))
    await reactor.shutdown()
    await until(() => log.length === NAMES.length)
    t.strictSame([...log].sort(), NAMES.map((name) => `${name} of number`).sort())
    t.equal(peer.error, undefined)
    t.equal(peer.length, 200_000)
  })
}

/** Collects uncaught exceptions and unhandled rejections, in place of the test runner. */
function uncaught(t: Test): string[] {
  const seen: string[] = []
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    const before = process.listeners(event as 'uncaughtException')
    process.removeAllListeners(event)
    process.on(event, (error: Error) => seen.push(`${event} ${error.message}`))
    t.teardown(() => {
      process.removeAllListeners(event)
      for (const listener of before) process.on(event, listener as () => void)
    })
  }
  return seen
}

test('an exception of `error` itself is uncaught', async (t) => {
  const seen = uncaught(t)
  const { port } = await serve(t, {
    data() {
      throw new Error('first')
    },
    error(_conn, error) {
      throw new Error(`second, after ${(error as Error).message}`)
    },
  })
  const peer = await connectPeer(t, port)
  peer.write('x')
  await until(() => seen.length > 0)
  t.strictSame(seen, ['uncaughtException second, after first'])
})

test('without `error` exceptions and rejections are uncaught', async (t) => {
  const seen = uncaught(t)
  const { port } = await serve(t, {
    data(_conn, chunk) {
      if (String(chunk) === 'x') throw new Error('thrown')
      return Promise.reject(new Error('rejected')) as unknown as undefined
    },
  })
  const peer = await connectPeer(t, port)
  peer.write('x')
  await until(() => seen.length === 1)
  peer.write('y')
  await until(() => seen.length === 2)
  t.strictSame(seen, ['uncaughtException thrown', 'unhandledRejection rejected'])
})

test('`error` is called for outgoing and adopted connections, and for replaced handlers', async (t) => {
  const reactor = makeReactor(t)
  const { port } = await serve(t, { open: (conn) => void conn.write('hi') }, {}, reactor)
  const log: unknown[] = []
  const handlers: Handlers<undefined> = {
    data() {
      return Promise.reject('a string') as unknown as undefined
    },
    error(conn, error) {
      log.push([this === handlers, error])
      conn.destroy()
    },
  }
  const conn = await reactor.connect({ host: '127.0.0.1', port }, handlers)
  await until(() => conn.closed)
  t.strictSame(log, [[true, 'a string']])

  handlers.data = async () => {
    throw new Error('of the new one')
  }
  const peer = await connectPeer(t, port)
  const adopted = await reactor.adopt(peer.socket, handlers)
  await until(() => adopted.closed)
  t.match(log[1], [true, { message: 'of the new one' }])
})
