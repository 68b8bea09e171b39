import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, delimited, type Framing, type Listener, lengthPrefixed, type Reactor } from 'c1m'
import { type Test, test } from 'tap'
import { encodeAll } from '../../fixtures/frames.js'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, makeReactor, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

type Kind = readonly [name: string, framing: Framing | undefined]

/** Framings of each kind. Those with a small max find an invalid frame in the streams of the others. */
const KINDS: readonly Kind[] = [
  ['no framing', undefined],
  ['line feeds', delimited('\n')],
  ['short lines', delimited('\n', { maxFrameBytes: 6 })],
  ['a delimiter of several bytes', delimited('\r\n\t')],
  ['short frames with several bytes', delimited(';;', { maxFrameBytes: 6 })],
  ['a length of one byte', lengthPrefixed({ bytes: 1 })],
  ['short frames with a length', lengthPrefixed({ bytes: 1, maxFrameBytes: 6 })],
  ['a length that counts itself', lengthPrefixed({ bytes: 4, endian: 'little', includesHeader: true })],
]
const FIRST = 'SWITCH'
const PAYLOADS = ['', 'abc', 'd', '\r', 'efghi']

type Way = (conn: Connection, change: () => void) => void | Promise<void>

/** How the handler of the first frame goes about it. */
const WAYS: Readonly<Record<string, Way>> = {
  'in the handler': (_conn, change) => change(),
  'in the handler, paused': async (conn, change) => {
    conn.pause()
    change()
    await sleep(10)
    conn.resume()
  },
  'paused, later': async (conn, change) => {
    conn.pause()
    await sleep(10)
    change()
    conn.resume()
  },
  'paused, and resumed before': async (conn, change) => {
    conn.pause()
    await sleep(10)
    conn.resume()
    change()
  },
}

/** Streams of one pair, which differ in where they are split. */
interface Streams {
  readonly after: string
  readonly count: number
  readonly listener: Listener<{ frames: string[] }>
  /** Those whose framing has changed. */
  changed: number
  right: number
  closed: number
  /** Sends the second part of each. */
  finish(): void
}

/** Sends the first part of each stream. */
async function begin(
  t: Test,
  reactor: Reactor,
  from: Framing | undefined,
  [after, to]: Kind,
  go: Way,
): Promise<Streams> {
  const head = from === undefined ? Buffer.from(FIRST) : encodeAll(from, [FIRST])
  const stream = to === undefined ? Buffer.from(PAYLOADS.join('\n')) : encodeAll(to, PAYLOADS)
  const points = [0, 1, 2, 5, 8, stream.length - 1, stream.length]
  const counts = { changed: 0, right: 0, closed: 0 }
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
        if (!first) return
        const going = go(conn as Connection, () => conn.setFraming(to, rest))
        void Promise.resolve(going).then(() => counts.changed++)
      },
      end(conn) {
        const [first, ...others] = conn.data.frames
        const expected = to === undefined ? stream.toString('latin1') : PAYLOADS.join()
        const got = to === undefined ? others.join('') : others.join()
        if (first === FIRST && got === expected) counts.right++
        else t.fail(`${after}: ${JSON.stringify(conn.data.frames)}`)
      },
      close(_conn, error) {
        if (error !== undefined) t.fail(`${after}: ${error.message}`)
        counts.closed++
      },
    },
    { ...(from !== undefined && { framing: from }), allowHalfOpen: false },
    reactor,
  )
  const ends = points.map(async (at) => {
    const peer = await connectPeer(t, port, { noDelay: true })
    await peer.flush(Buffer.concat([head, stream.subarray(0, at)]))
    return () => peer.end(stream.subarray(at))
  })
  const finishing = await Promise.all(ends)
  const finish = () => {
    for (const end of finishing) end()
  }
  return Object.assign(counts, { after, count: points.length, listener, finish })
}

for (const trigger of TRIGGERS) {
  for (const [way, go] of Object.entries(WAYS)) {
    for (const [before, from] of KINDS) {
      test(`from ${before} the framing changes to any other behind the frame: ${way} (${trigger})`, async (t) => {
        const reactor = makeReactor(t, { trigger })
        const pairs = await Promise.all(KINDS.map((kind) => begin(t, reactor, from, kind, go)))
        const all = (done: (streams: Streams) => number, what: string) =>
          pairs.map((streams) => until(() => done(streams) === streams.count, `${what}, ${before} to ${streams.after}`))
        await Promise.all(all(({ changed }) => changed, 'a change'))
        // It has all that was sent so far: what is behind the first frame is pending, or was held.
        await fence(reactor)
        for (const { finish } of pairs) finish()
        await Promise.all(all(({ closed }) => closed, 'an end'))
        for (const { after, count, right } of pairs) t.equal(right, count, after)
        await Promise.all(pairs.map(({ listener }) => listener.close()))
      })
    }
  }
}
