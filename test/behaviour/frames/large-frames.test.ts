import { delimited, type Framing, lengthPrefixed, writeFrame } from 'c1m'
import { test } from 'tap'
import { sha256 } from '../../fixtures/bytes.js'
import { connectPeer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { serve, TRIGGERS } from '../../fixtures/reactor.js'

const MIB = 1024 * 1024
const SIZES = [3 * MIB, 0, 8191, 8192, 8193, 16_384, 16_385, 65_536, 262_144, 300_000, 1, 5 * MIB]

const FRAMINGS: readonly (readonly [string, Framing])[] = [
  ['length-prefixed', lengthPrefixed({ maxFrameBytes: 8 * MIB })],
  ['delimited', delimited('\0\0', { maxFrameBytes: 8 * MIB })],
]

const random = seeded(5)
// Without a zero, which might be part of the delimiter.
const payloads = SIZES.map((size) => random.bytes(size).map((byte) => byte | 1))
const expected = payloads.map((payload) => `${payload.length} ${sha256(payload)}`)

for (const trigger of TRIGGERS) {
  for (const read of ['owned', 'borrowed'] as const) {
    for (const [name, framing] of FRAMINGS) {
      test(`${name} frames larger than any slab arrive whole, and go back (${trigger}, ${read})`, async (t) => {
        const digests: string[] = []
        const { port } = await serve(
          t,
          {
            data(conn, frame) {
              digests.push(`${frame.length} ${sha256(frame)}`)
              if (!writeFrame(conn, framing, frame)) conn.pause()
            },
            drain(conn) {
              conn.resume()
            },
          },
          { framing, read, maxWriteQueue: 64 * MIB },
          { trigger },
        )
        const peer = await connectPeer(t, port)
        const stream = Buffer.concat(payloads.map((payload) => framing.encode(payload)))
        peer.write(stream)
        await peer.untilBytes(stream.length)
        t.strictSame(digests, expected)
        t.ok(peer.received.equals(stream), 'what writeFrame() sent')
        peer.end()
        await peer.untilEnded()
      })
    }
  }
}
