import { test } from 'tap'
import { encodeAll, FRAMINGS, SAMPLE } from '../../fixtures/frames.js'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  for (const read of ['owned', 'borrowed'] as const) {
    test(`frames are delivered whole, wherever the stream is split (${trigger}, ${read})`, async (t) => {
      for (const [name, framing] of FRAMINGS) {
        const frames: string[] = []
        let ended = 0
        const { listener, port } = await serve(
          t,
          {
            data(_conn, frame) {
              frames.push(frame.toString('latin1'))
            },
            end() {
              ended++
            },
          },
          { framing, read },
          { trigger, poisonBorrowed: true },
        )
        const expected = SAMPLE.map((frame) => frame.toString('latin1'))
        const stream = encodeAll(framing, SAMPLE)
        // Each byte is sent as a segment of its own, and read alone or with others.
        const slow = await connectPeer(t, port, { noDelay: true })
        for (const byte of stream) await slow.flush(Buffer.of(byte))
        slow.end()
        await until(() => ended === 1, `the end of ${name}`)
        t.strictSame(frames.splice(0), expected, `${name}, a byte at a time`)
        for (let split = 1; split < stream.length; split += 3) {
          const peer = await connectPeer(t, port, { noDelay: true })
          const before = ended
          await peer.flush(stream.subarray(0, split))
          if (split % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
          peer.end(stream.subarray(split))
          await until(() => ended === before + 1, `the end of ${name}`)
          t.strictSame(frames.splice(0), expected, `${name}, split at ${split}`)
        }
        await listener.close()
      }
    })
  }
}
