import { delimited, type Framing, lengthPrefixed } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const CASES: readonly (readonly [string, Framing, string, readonly string[]])[] = [
  ['a length beyond the max', lengthPrefixed({ bytes: 2, maxFrameBytes: 5 }), '\0\x05hello\0\x06', ['data hello']],
  [
    'a length that does not cover itself',
    lengthPrefixed({ bytes: 4, includesHeader: true }),
    '\0\0\0\x06hi\0\0\0\x03',
    ['data hi'],
  ],
  ['a line beyond the max', delimited('\n', { maxFrameBytes: 5 }), 'hello\nhello!\n', ['data hello']],
  ['a line without an end', delimited('\r\n', { maxFrameBytes: 5 }), 'hello\r\nhello\rx', ['data hello']],
]

for (const trigger of TRIGGERS) {
  for (const [name, framing, bytes, frames] of CASES) {
    test(`${name} closes the connection after the frames before it (${trigger})`, async (t) => {
      for (const slowly of [false, true]) {
        const log: string[] = []
        const { port } = await serve(t, record(log), { framing }, { trigger })
        const peer = await connectPeer(t, port, { noDelay: true })
        if (slowly) {
          for (const byte of Buffer.from(bytes, 'latin1')) await peer.flush(Buffer.of(byte))
        } else {
          await peer.flush(Buffer.from(bytes, 'latin1'))
        }
        await until(() => log.at(-1)?.startsWith('close') === true)
        t.strictSame(log, ['open', ...frames, 'close ERR_C1M_FRAME_TOO_LARGE'])
        await peer.untilEnded()
      }
    })
  }

  test(`a line of the max length is delivered (${trigger})`, async (t) => {
    const log: string[] = []
    const framing = delimited('\r\n', { maxFrameBytes: 5 })
    const { port } = await serve(t, record(log), { framing }, { trigger })
    const peer = await connectPeer(t, port, { noDelay: true })
    for (const piece of ['hello', '\r', '\n', '12345\r', '\n']) await peer.flush(piece)
    peer.end('cut')
    await until(() => log.at(-1)?.startsWith('close') === true)
    t.strictSame(log, ['open', 'data hello', 'data 12345', 'end', 'close'], 'a line without an end is not a frame')
  })
}
