import { test } from 'tap'
import { startChild } from '../../fixtures/child.js'
import { connectPeer } from '../../fixtures/peer.js'
import { freePort } from '../../fixtures/port.js'
import { serve } from '../../fixtures/reactor.js'

test('cluster workers share a port', async (t) => {
  const port = await freePort()
  const primary = startChild(t, 'cluster', { args: [String(port)] })
  t.strictSame([await primary.next(), await primary.next()], ['listening', 'listening'])
  const workers = new Set<string>()
  for (let i = 0; i < 200 && workers.size < 2; i++) {
    const peer = await connectPeer(t, port)
    await peer.untilEnded()
    workers.add(peer.text)
    peer.socket.destroy()
  }
  t.strictSame(workers, new Set(['worker 1', 'worker 2']))
  primary.tell('stop')
  t.strictSame(await primary.untilExit(), { code: 0, signal: null })
})

for (const options of [{ exclusive: true }, { reusePort: false }]) {
  test(`with ${JSON.stringify(options)} cluster workers don’t share a port`, async (t) => {
    const port = await freePort()
    const primary = startChild(t, 'cluster', { args: [String(port), JSON.stringify(options)] })
    t.strictSame([await primary.next(), await primary.next()].sort(), ['EADDRINUSE', 'listening'])
    primary.tell('stop')
    t.strictSame(await primary.untilExit(), { code: 0, signal: null })
  })
}

test('outside a cluster a port is not shared', async (t) => {
  const { port } = await serve(t, {})
  await t.rejects(serve(t, {}, { port }), { code: 'EADDRINUSE' })
})
