import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { block, serve, until } from '../../fixtures/reactor.js'

/** So many connections that their handlers take half a second. */
const CONNECTIONS = 512
const HANDLER_MS = 1

test('shutdown() of many connections with slow handlers lets Node’s event loop run', async (t) => {
  let called = 0
  const seen: number[] = []
  let asked = () => {}
  const { reactor, port } = await serve<unknown>(t, {
    shutdown() {
      called++
      if (called === 1) asked()
      block(HANDLER_MS)
    },
  })
  for (let i = 0; i < CONNECTIONS; i++) await connectPeer(t, port)
  await until(() => reactor.connections.size === CONNECTIONS)
  const look = () => {
    seen.push(called)
    if (called < CONNECTIONS) setImmediate(look)
  }
  asked = () => setImmediate(look)
  const ended = reactor.shutdown({ timeoutMs: 60_000 })
  await until(() => called === CONNECTIONS, 'all shutdown handlers')
  t.ok(seen.filter((count) => count < CONNECTIONS).length >= 2, `looked at ${seen.slice(0, 5)} …`)
  for (const conn of reactor.connections.values()) conn.destroy()
  t.strictSame(await ended, { drained: CONNECTIONS, cut: 0 })
})

test('a deadline while shutdown handlers are called cuts all connections', async (t) => {
  let called = 0
  const { reactor, port } = await serve<unknown>(t, {
    shutdown() {
      called++
      block(10)
    },
  })
  for (let i = 0; i < CONNECTIONS; i++) await connectPeer(t, port)
  await until(() => reactor.connections.size === CONNECTIONS)
  t.strictSame(await reactor.shutdown({ timeoutMs: 50 }), { drained: 0, cut: CONNECTIONS })
  t.ok(called < CONNECTIONS, `${called} handlers`)
})
