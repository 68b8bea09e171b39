import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { block, serve, until } from '../../fixtures/reactor.js'

/** As many as a turn would take for half a second, with what each handler takes. */
const CONNECTIONS = 512
const HANDLER_MS = 1

test('shutdown() of very many leaves Node its turns, and its deadline holds while handlers take their time', async (t) => {
  let told = 0
  const seen: number[] = []
  let asked = () => {}
  const { reactor, port } = await serve<unknown>(t, {
    shutdown() {
      told++
      if (told === 1) asked()
      block(HANDLER_MS)
    },
  })
  for (let i = 0; i < CONNECTIONS; i++) await connectPeer(t, port)
  await until(() => reactor.connections.size === CONNECTIONS)
  const look = () => {
    seen.push(told)
    if (told < CONNECTIONS) setImmediate(look)
  }
  asked = () => setImmediate(look)
  const ended = reactor.shutdown({ timeoutMs: 60_000 })
  await until(() => told === CONNECTIONS, 'word to all')
  t.ok(seen.filter((count) => count < CONNECTIONS).length >= 2, `looked at ${seen.slice(0, 5)} …`)
  for (const conn of reactor.connections.values()) conn.destroy()
  t.strictSame(await ended, { drained: CONNECTIONS, cut: 0 })
})

test('a deadline that comes while handlers are called cuts the rest', async (t) => {
  let told = 0
  const { reactor, port } = await serve<unknown>(t, {
    shutdown() {
      told++
      block(10)
    },
  })
  for (let i = 0; i < CONNECTIONS; i++) await connectPeer(t, port)
  await until(() => reactor.connections.size === CONNECTIONS)
  t.strictSame(await reactor.shutdown({ timeoutMs: 50 }), { drained: 0, cut: CONNECTIONS })
  t.ok(told < CONNECTIONS, `${told} handlers`)
})
