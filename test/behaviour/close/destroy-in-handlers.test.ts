import type { Connection, Handlers } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

/** Returns the results of a destroyed connection's methods. */
function inertness(conn: Connection): unknown[] {
  return [
    conn.closed,
    conn.write('late'),
    conn.end('late'),
    conn.pause(),
    conn.resume(),
    conn.setTimeout(1),
    conn.destroy(),
    conn.reset(),
    conn.writableLength,
  ]
}
const INERT = [true, false, false, false, false, false, false, false, 0]

const quit = (conn: Connection) => {
  conn.destroy(new Error('quit'))
}

interface Scenario {
  readonly handler: 'open' | 'data' | 'drain' | 'end' | 'timeout'
  readonly expected: readonly string[]
  readonly peerSends?: string
  readonly peerEnds?: boolean
  readonly handlers?: Handlers<unknown>
}

const SCENARIOS: readonly Scenario[] = [
  { handler: 'open', expected: ['open', 'close quit'], peerSends: 'x', peerEnds: true },
  { handler: 'data', expected: ['open', 'data x', 'close quit'], peerSends: 'x', peerEnds: true },
  { handler: 'end', expected: ['open', 'data x', 'end', 'close quit'], peerSends: 'x', peerEnds: true },
  { handler: 'timeout', expected: ['open', 'timeout', 'close quit'] },
  {
    handler: 'drain',
    expected: ['open', 'drain', 'close quit'],
    handlers: { open: (conn) => void conn.write(Buffer.alloc(100_000)) },
  },
]

for (const trigger of TRIGGERS) {
  for (const { handler, expected, peerSends, peerEnds, handlers } of SCENARIOS) {
    test(`after destroy() in ${handler} only close is called, once (${trigger})`, async (t) => {
      const log: string[] = []
      const answers: unknown[][] = []
      const destroying: Handlers<unknown> = {
        ...handlers,
        [handler]: (conn: Connection) => {
          quit(conn)
          answers.push(inertness(conn))
        },
      }
      const { port, reactor } = await serve(t, record(log, destroying), { idleTimeoutMs: 400 }, { trigger })
      const peer = await connectPeer(t, port)
      if (peerSends !== undefined) peer.write(peerSends)
      if (peerEnds === true) await peer.endAndBlock(30)
      await until(() => log.some((line) => line.startsWith('close')) && reactor.connections.size === 0)
      await fence(reactor)
      t.strictSame(log, expected)
      t.strictSame(answers, [INERT])
      await until(() => peer.gone)
    })
  }

  test(`destroy() in close has no effect (${trigger})`, async (t) => {
    const log: string[] = []
    const answers: unknown[][] = []
    const { port, reactor } = await serve<unknown>(
      t,
      record(log, { close: (conn) => void answers.push(inertness(conn)) }),
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.end('x')
    await until(() => log.includes('close') && reactor.connections.size === 0)
    await fence(reactor)
    t.strictSame(log, ['open', 'data x', 'end', 'close'])
    t.strictSame(answers, [INERT])
  })

  test(`methods of a closed connection have no effect (${trigger})`, async (t) => {
    const opened: Connection[] = []
    const log: string[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      record(log, { open: (conn) => void opened.push(conn) }),
      {},
      { trigger, ioThreads: 1 },
    )
    const peer = await connectPeer(t, port)
    peer.end()
    await until(() => log.includes('close'))
    await until(() => reactor.stats().closed === 1)
    // Another connection gets the slot, and calls on the old one must not affect it.
    const other = await connectPeer(t, port)
    await until(() => opened.length === 2)
    const [first, second] = opened as [Connection, Connection]
    t.equal(first.id % 2 ** 30, second.id % 2 ** 30, 'the same slot')
    t.not(first.id, second.id)
    t.strictSame(inertness(first), INERT)
    t.equal(reactor.connections.get(first.id), undefined)
    t.equal(reactor.connections.get(second.id), second)
    await fence(reactor)
    other.write('still here')
    await until(() => log.includes('data still here'))
    t.strictSame(log, ['open', 'end', 'close', 'open', 'data still here'])
    t.equal(other.gone, false)
  })
}
