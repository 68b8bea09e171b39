import { Connection, type SocketOptions } from 'c1m'
import { type Test, test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { serve, until } from '../../fixtures/reactor.js'

const wrongType = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }
const wrongValue = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' }
const outOfRange = { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE' }

async function open(t: Test): Promise<{ conn: Connection<undefined>; peer: Peer; closes: unknown[] }> {
  let opened: Connection<undefined> | undefined
  const closes: unknown[] = []
  const { port } = await serve(t, {
    open(conn) {
      opened = conn
    },
    close: (_conn, error) => void closes.push(error),
  })
  const peer = await connectPeer(t, port)
  await until(() => opened !== undefined)
  return { conn: opened as Connection<undefined>, peer, closes }
}

type Write = (chunk: unknown, encoding?: unknown) => boolean

const badChunks = [undefined, null, 1, true, {}, [1, 2], new ArrayBuffer(8), new DataView(new ArrayBuffer(8)), () => {}]

test('write() throws for a value that is not a chunk, and sends nothing', async (t) => {
  const { conn, peer } = await open(t)
  for (const chunk of [...badChunks, new Uint16Array(2)]) {
    t.throws(() => (conn.write as Write).call(conn, chunk), { ...wrongType, message: /"chunk"/ })
    if (chunk !== undefined) {
      t.throws(() => (conn.end as Write).call(conn, chunk), { ...wrongType, message: /"chunk"/ })
    }
  }
  t.equal(conn.writableLength, 0)
  t.equal(conn.end('all there is'), true, 'end() that threw has not ended it')
  await peer.untilEnded()
  t.equal(peer.text, 'all there is')
})

test('write() throws for a value that is not an encoding, and sends nothing', async (t) => {
  const { conn, peer } = await open(t)
  for (const text of ['short', 'long'.repeat(10_000)]) {
    // The second argument of node:net's write() may be a callback; Buffer.write() takes a number as a length.
    for (const encoding of [2, null, () => {}, {}, true]) {
      t.throws(() => (conn.write as Write).call(conn, text, encoding), { ...wrongType, message: /"encoding"/ })
      t.throws(() => (conn.end as Write).call(conn, text, encoding), { ...wrongType, message: /"encoding"/ })
    }
    for (const encoding of ['', 'utf-9', 'buffer']) {
      t.throws(() => (conn.write as Write).call(conn, text, encoding), { ...wrongValue, message: /"encoding"/ })
    }
  }
  for (const encoding of ['utf-8', 'UTF8', 'latin1', 'ascii', undefined]) {
    t.equal((conn.write as Write).call(conn, 'x', encoding), true)
  }
  conn.write('79', 'hex')
  conn.end('eg==', 'base64')
  await peer.untilEnded()
  t.equal(peer.text, 'xxxxxyz')
})

test('a destroyed or closed connection still checks its arguments', async (t) => {
  const { conn, closes } = await open(t)
  conn.destroy()
  for (const when of ['destroyed', 'closed']) {
    t.throws(() => (conn.write as Write).call(conn, 1), wrongType, when)
    t.throws(() => (conn.write as Write).call(conn, 'x', 'utf-9'), wrongValue, when)
    t.throws(() => (conn.end as Write).call(conn, 1), wrongType, when)
    t.throws(() => conn.setTimeout(-1), outOfRange, when)
    await until(() => closes.length === 1)
  }
})

test('setTimeout() and destroy() check their arguments', async (t) => {
  const { conn, peer, closes } = await open(t)
  for (const ms of ['1', null, undefined, true, {}]) {
    t.throws(() => conn.setTimeout(ms as number), { ...wrongType, message: /"ms"/ })
  }
  for (const ms of [-1, 0.5, 2 ** 31, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => conn.setTimeout(ms), { ...outOfRange, message: /"ms"/ })
  }
  for (const error of ['gone', 1, null, {}, { message: 'gone' }]) {
    t.throws(() => conn.destroy(error as Error), { ...wrongType, message: /"error"/ })
  }
  t.equal(conn.closed, false)
  conn.end('still here')
  peer.end()
  await peer.untilClosed()
  t.equal(peer.text, 'still here')
  await until(() => closes.length === 1)
  t.strictSame(closes, [undefined])
})

test('setOptions() with a bad option rejects, and sets none', async (t) => {
  const { conn } = await open(t)
  const before = await conn.getOptions()
  const bad: readonly (readonly [unknown, { name: string; code: string; message?: RegExp }])[] = [
    [null, wrongType],
    [true, wrongType],
    [[], wrongType],
    [{ noDelay: 1 }, { ...wrongType, message: /"noDelay"/ }],
    // The first option is valid, and must not be set before the second is checked.
    [
      { noDelay: true, ipTos: 256 },
      { ...outOfRange, message: /"ipTos"/ },
    ],
    [
      { noDelay: true, keepAlive: { count: 200 } },
      { ...outOfRange, message: /"keepAlive.count"/ },
    ],
    [
      { noDelay: true, congestion: '' },
      { ...outOfRange, message: /"congestion"/ },
    ],
    [{ lingerMs: 5 }, { ...outOfRange, message: /"lingerMs"/ }],
  ]
  for (const [options, expected] of bad) await t.rejects(conn.setOptions(options as SocketOptions), expected)
  t.strictSame(await conn.getOptions(), before)
})

test('arguments that only node:net takes are refused, not ignored', async (t) => {
  const { conn } = await open(t)
  const setTimeout = conn.setTimeout as (ms: number, callback?: () => void) => boolean
  t.throws(() => setTimeout.call(conn, 1000, () => {}), { ...wrongValue, message: /"timeout" handler/ })
  t.equal(setTimeout.call(conn, 1000, undefined), true)
  const timeouts = { idleTimeoutMs: 1 } as object
  t.throws(() => conn.setTimeouts(timeouts), { ...wrongValue, message: /"idleTimeoutMs"; is "idleMs" meant/ })
})

test('new Connection() throws', (t) => {
  const Made = Connection as unknown as new () => unknown
  t.throws(() => new Made(), { name: 'TypeError', message: /listen\(\)/ })
  t.end()
})
