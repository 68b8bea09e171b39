import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, until } from '../../fixtures/reactor.js'

test('the memory of a chunk, which others share, can’t be transferred', async (t) => {
  const chunks: Buffer[] = []
  const { port } = await serve<unknown>(t, {
    data(_conn, chunk) {
      chunks.push(chunk)
      try {
        structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] })
      } catch {
        // Node 20 makes a copy, and later versions refuse.
      }
    },
  })
  const peer = await connectPeer(t, port)
  await peer.flush('one')
  await until(() => chunks.length === 1)
  await peer.flush('two')
  await until(() => chunks.length === 2)
  t.equal(chunks.join(), 'one,two')
})
