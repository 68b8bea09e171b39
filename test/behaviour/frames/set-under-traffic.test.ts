import { type Connection, delimited, type Framing, lengthPrefixed } from 'c1m'
import { test } from 'tap'
import { encodeAll } from '../../fixtures/frames.js'
import { connectPeer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { block, fence, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

/** The framings of a stream's sections. The last frame of a section announces the next one. */
const SECTIONS: readonly (Framing | undefined)[] = [
  delimited('\n'),
  lengthPrefixed({ bytes: 2 }),
  delimited('--boundary--'),
  lengthPrefixed({ bytes: 4, endian: 'little', includesHeader: true }),
  delimited('\r\n'),
]

for (const trigger of TRIGGERS) {
  for (const read of ['owned', 'borrowed'] as const) {
    test(`the framing changes exactly behind the last frame (${trigger}, ${read})`, async (t) => {
      const random = seeded(77)
      const payloads = SECTIONS.map((_, section) => [
        ...Array.from({ length: 300 }, (__, i) => `${section}.${i} ${'x'.repeat(random.integer(0, 300))}`),
        `next ${section}`,
      ])
      const stream = Buffer.concat(
        SECTIONS.map((framing, section) => encodeAll(framing as Framing, payloads[section] as string[])),
      )
      const log: string[] = []
      let section = 0
      const { port } = await serve(
        t,
        {
          data(conn, frame) {
            const text = frame.toString('latin1')
            log.push(text)
            if (text.startsWith('next')) conn.setFraming(SECTIONS[++section])
            if (text === 'next 0') block(30)
          },
          end() {
            log.push('end')
          },
        },
        { framing: SECTIONS[0] as Framing, read },
        { trigger, poisonBorrowed: true },
      )
      const peer = await connectPeer(t, port, { noDelay: true })
      for (let at = 0; at < stream.length; ) {
        const next = at + random.integer(1, 20_000)
        await peer.flush(stream.subarray(at, next))
        at = next
      }
      peer.end()
      await until(() => log.at(-1) === 'end')
      t.strictSame(log, [...payloads.flat().slice(0, -1), 'next 4', 'end'])
    })
  }

  test(`with a new framing, the rest of the received chunk is framed first (${trigger})`, async (t) => {
    const framing = lengthPrefixed({ bytes: 1 })
    const log: string[] = []
    const { port } = await serve(
      t,
      {
        data(conn, chunk) {
          const head = chunk.indexOf('\r\n\r\n')
          log.push(chunk.toString('latin1', 0, head < 0 ? undefined : head))
          if (head < 0) return
          t.equal(conn.setFraming(framing, chunk.subarray(head + 4)), true)
        },
        end() {
          log.push('end')
        },
        close() {
          log.push('close')
        },
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await peer.flush(Buffer.concat([Buffer.from('hello\r\n\r\n'), encodeAll(framing, ['one', '', 'three'])]))
    await peer.endAndBlock(30)
    await until(() => log.includes('close'))
    t.strictSame(log, ['hello', 'one', '', 'three', 'end', 'close'])
  })

  test(`a framing can be removed in a pause, with the peer's end pending (${trigger})`, async (t) => {
    const log: string[] = []
    let paused: Connection | undefined
    const { port, reactor } = await serve<unknown>(
      t,
      {
        data(conn, chunk) {
          log.push(chunk.toString('latin1'))
          if (log.length > 1) return
          conn.pause()
          conn.setFraming(undefined)
          paused = conn
        },
        end() {
          log.push('end')
        },
      },
      { framing: delimited('\n'), allowHalfOpen: true },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await peer.flush('first\nsecond\nthi')
    await peer.endAndBlock(30)
    await until(() => paused !== undefined)
    await fence(reactor)
    t.strictSame(log, ['first'])
    paused?.resume()
    await until(() => log.at(-1) === 'end')
    t.equal(log.slice(1, -1).join(''), 'second\nthi')
    t.equal(paused?.end(), true)
    t.equal(paused?.setFraming(delimited('\n')), false, 'not after end()')
  })
}
