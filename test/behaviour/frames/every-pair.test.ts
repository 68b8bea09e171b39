import { type Connection, delimited, type Framing, lengthPrefixed } from 'c1m'
import { test } from 'tap'
import { encodeAll } from '../../fixtures/frames.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

/** Those with a small most find no frame in what the others send. */
const KINDS: readonly (readonly [name: string, framing: Framing | undefined])[] = [
  ['bytes as they come', undefined],
  ['line feeds', delimited('\n')],
  ['short lines', delimited('\n', { maxFrameBytes: 6 })],
  ['a delimiter of several bytes', delimited('\r\n\t')],
  ['short ones with several bytes', delimited(';;', { maxFrameBytes: 6 })],
  ['a length of a byte', lengthPrefixed({ bytes: 1 })],
  ['short ones with a length', lengthPrefixed({ bytes: 1, maxFrameBytes: 6 })],
  ['a length that counts itself', lengthPrefixed({ bytes: 4, endian: 'little', includesHeader: true })],
]
const FIRST = 'SWITCH'
const PAYLOADS = ['', 'abc', 'd', '\r', 'efghi']

/** How the handler of the first frame goes about it. */
const WAYS: Readonly<Record<string, (conn: Connection, change: () => void) => void>> = {
  'in the handler': (_conn, change) => change(),
  'in the handler, paused': (conn, change) => {
    conn.pause()
    change()
    setTimeout(() => conn.resume(), 10)
  },
  'paused, later': (conn, change) => {
    conn.pause()
    setTimeout(() => {
      change()
      conn.resume()
    }, 10)
  },
  'paused, and resumed before': (conn, change) => {
    conn.pause()
    setTimeout(() => {
      conn.resume()
      change()
    }, 10)
  },
}

for (const trigger of TRIGGERS) {
  for (const [way, go] of Object.entries(WAYS)) {
    for (const [before, from] of KINDS) {
      test(`from ${before} to any other, exactly there: ${way} (${trigger})`, async (t) => {
        const reactor = makeReactor(t, { trigger })
        for (const [after, to] of KINDS) {
          const head = from === undefined ? Buffer.from(FIRST) : encodeAll(from, [FIRST])
          const stream = to === undefined ? Buffer.from(PAYLOADS.join('\n')) : encodeAll(to, PAYLOADS)
          let splits = 0
          let right = 0
          const { listener, port } = await serve<{ frames: string[] }>(
            t,
            {
              open(conn) {
                conn.data = { frames: [] }
              },
              data(conn, chunk) {
                const { frames } = conn.data
                const first = frames.length === 0
                // Without a framing the first chunk holds what was sent with it.
                const rest = first && from === undefined ? Buffer.from(chunk.subarray(FIRST.length)) : undefined
                frames.push(first ? chunk.toString('latin1', 0, FIRST.length) : chunk.toString('latin1'))
                if (first) go(conn as Connection, () => conn.setFraming(to, rest))
              },
              end(conn) {
                const [first, ...others] = conn.data.frames
                const expected = to === undefined ? stream.toString('latin1') : PAYLOADS.join()
                const got = to === undefined ? others.join('') : others.join()
                if (first === FIRST && got === expected) right++
                else t.fail(`${after}: ${JSON.stringify(conn.data.frames)}`)
              },
              close(_conn, error) {
                if (error !== undefined) t.fail(`${after}: ${error.message}`)
                splits--
              },
            },
            { ...(from !== undefined && { framing: from }), allowHalfOpen: false },
            reactor,
          )
          const points = [0, 1, 2, 5, 8, stream.length - 1, stream.length]
          splits = points.length
          await Promise.all(
            points.map(async (at) => {
              const peer = await connectPeer(t, port, { noDelay: true })
              await peer.flush(Buffer.concat([head, stream.subarray(0, at)]))
              // It has all that was sent so far: what is behind the first frame is pending, or held.
              await new Promise((resolve) => setTimeout(resolve, 20))
              peer.end(stream.subarray(at))
            }),
          )
          await until(() => splits === 0, `${before} to ${after}`)
          t.equal(right, points.length, after)
          await listener.close()
        }
      })
    }
  }
}
