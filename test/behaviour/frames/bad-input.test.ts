import { type Connection, delimited, lengthPrefixed, writeFrame } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

const TYPE = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }
const VALUE = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' }
const RANGE = { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE' }

test('lengthPrefixed() and delimited() throw for bad options', (t) => {
  // Casts for calls that TypeScript would refuse.
  const prefixed = lengthPrefixed as (options: unknown) => void
  const ending = delimited as (delimiter: unknown, options?: unknown) => void
  t.throws(() => prefixed({ bytes: '4' }), TYPE)
  for (const bytes of [0, 3, 8, 1.5]) t.throws(() => prefixed({ bytes }), RANGE)
  t.throws(() => prefixed({ endian: 'middle' }), VALUE)
  t.throws(() => prefixed({ includesHeader: 1 }), TYPE)
  for (const maxFrameBytes of [0, -1, 1.5, 2 ** 30 + 1]) t.throws(() => prefixed({ maxFrameBytes }), RANGE)
  t.throws(() => prefixed({ bytes: 1, maxFrameBytes: 256 }), RANGE)
  t.throws(() => prefixed({ bytes: 1, includesHeader: true, maxFrameBytes: 255 }), RANGE)
  t.throws(() => prefixed(5), TYPE)
  t.throws(() => ending(10), TYPE)
  t.throws(() => ending(''), RANGE)
  t.throws(() => ending('x'.repeat(257)), RANGE)
  t.throws(() => ending('\n', { maxFrameBytes: '5' }), TYPE)
  t.equal(lengthPrefixed({ bytes: 1 }).maxFrameBytes, 255)
  t.equal(lengthPrefixed({ bytes: 2, includesHeader: true }).maxFrameBytes, 65_533)
  t.equal(lengthPrefixed().maxFrameBytes, 2 ** 20)
  t.equal(delimited('\n').maxFrameBytes, 2 ** 20)
  t.end()
})

test('a value that is not a framing, or a bad payload, rejects or throws', async (t) => {
  const reactor = makeReactor(t)
  for (const framing of ['\n', null, {}, 5]) {
    await t.rejects(reactor.listen({ port: 0, framing: framing as never }), TYPE)
  }
  let conn: Connection | undefined
  const open = (opened: Connection) => {
    conn = opened
  }
  const { port } = await serve<unknown>(t, { open }, {}, reactor)
  const peer = await connectPeer(t, port)
  await until(() => conn !== undefined)
  t.throws(() => conn?.setFraming('\n' as never), TYPE)
  t.throws(() => conn?.setFraming(undefined, 'rest' as never), TYPE)
  const lines = delimited('\r\n')
  const short = lengthPrefixed({ bytes: 1 })
  const to = conn as Connection
  t.throws(() => writeFrame(to, {} as never, 'x'), TYPE)
  t.throws(() => writeFrame(to, lines, 5 as never), TYPE)
  t.throws(() => writeFrame(to, lines, 'two\r\nlines'), VALUE)
  t.throws(() => lines.encode(new Uint8Array([13, 10])), VALUE)
  t.throws(() => writeFrame(to, short, new Uint8Array(256)), RANGE)
  t.equal(writeFrame(to, short, new Uint8Array(255).fill(7)), true)
  t.equal(writeFrame(to, lines, 'löve\n'), true)
  await peer.untilBytes(256 + 8)
  t.equal(peer.received.subarray(256).toString(), 'löve\n\r\n', 'nothing of the calls that threw')
  t.equal(peer.received[0], 255)
})
