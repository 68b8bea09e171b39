import { type Connection, delimited } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  for (const read of ['owned', 'borrowed'] as const) {
    test(`frames buffered in a pause are delivered before an invalid one closes (${trigger}, ${read})`, async (t) => {
      const log: string[] = []
      let paused: Connection | undefined
      const handlers = record<unknown>(log, {
        data(conn) {
          if (paused !== undefined) return
          conn.pause()
          paused = conn
        },
      })
      const framing = delimited('\n', { maxFrameBytes: 5 })
      const { port, reactor } = await serve(t, handlers, { framing, read }, { trigger, poisonBorrowed: true })
      const peer = await connectPeer(t, port)
      await peer.flush('one\ntwo\nthree\ntoo large\nmore')
      await until(() => paused !== undefined)
      await fence(reactor)
      t.strictSame(log, ['open', 'data one'])
      paused?.resume()
      await until(() => log.length === 5)
      t.strictSame(log.slice(2), ['data two', 'data three', 'close ERR_C1M_FRAME_TOO_LARGE'])
    })
  }
}

test('an invalid frame waits for resume(), and the framing may be changed until then', async (t) => {
  for (const changes of [true, false]) {
    const log: string[] = []
    let paused: Connection | undefined
    const handlers = record<unknown>(log, {
      data(conn) {
        if (paused !== undefined) return
        conn.pause()
        paused = conn
      },
    })
    const { port, reactor } = await serve(t, handlers, { framing: delimited('\n', { maxFrameBytes: 5 }) })
    const peer = await connectPeer(t, port)
    await peer.flush('one\ntoo large;more;')
    await until(() => paused !== undefined)
    await fence(reactor)
    t.strictSame(log, ['open', 'data one'])
    if (changes) paused?.setFraming(delimited(';'))
    paused?.resume()
    await until(() => log.length > 2)
    if (changes) await until(() => log.length === 4)
    t.strictSame(log.slice(2), changes ? ['data too large', 'data more'] : ['close ERR_C1M_FRAME_TOO_LARGE'])
  }
})
