import type { Connection, Handlers } from 'c1m'
import { test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

/** Makes the peer send without a break, and end some writes after it has seen the FIN. */
function busy(peer: Peer): void {
  const chunk = Buffer.alloc(8192, 'x')
  let more = 20
  const send = () => {
    if (peer.closed) return
    if (peer.ended && more-- === 0) {
      peer.end()
    } else {
      peer.socket.write(chunk, () => setImmediate(send))
    }
  }
  send()
}

const LONG = 20_000

for (const trigger of TRIGGERS) {
  test(`an echo server that pauses on false drains under traffic (${trigger})`, async (t) => {
    let received = 0
    const { reactor, port } = await serve(
      t,
      {
        data(conn, chunk) {
          received += chunk.length
          if (!conn.write(chunk)) conn.pause()
        },
        drain(conn) {
          conn.resume()
        },
      },
      {},
      { trigger },
    )
    const peers: Peer[] = []
    for (let i = 0; i < 8; i++) peers.push(await connectPeer(t, port))
    for (const peer of peers) busy(peer)
    await until(() => received > 1_000_000)
    t.strictSame(await reactor.shutdown({ timeoutMs: LONG }), { drained: 8, cut: 0 })
    await Promise.all(peers.map((peer) => peer.untilClosed()))
    for (const { error } of peers) t.equal(error, undefined)
  })

  test(`a relay by handlers that pause each other drains under traffic (${trigger})`, async (t) => {
    type Half = { other: Connection<Half> }
    let received = 0
    let waiting: Connection<Half> | undefined
    const handlers: Handlers<Half> = {
      open(conn) {
        if (waiting === undefined) {
          waiting = conn
        } else {
          conn.data = { other: waiting }
          waiting.data = { other: conn }
          waiting = undefined
        }
      },
      data(conn, chunk) {
        received += chunk.length
        if (!conn.data.other.write(chunk)) conn.pause()
      },
      drain(conn) {
        conn.data.other.resume()
      },
      end(conn) {
        conn.data.other.end()
      },
      close(conn) {
        conn.data.other.destroy()
      },
    }
    const { reactor, port } = await serve<Half>(t, handlers, {}, { trigger })
    const peers: Peer[] = []
    for (let i = 0; i < 6; i++) peers.push(await connectPeer(t, port))
    await until(() => reactor.connections.size === 6 && waiting === undefined)
    for (const peer of peers) busy(peer)
    await until(() => received > 1_000_000)
    t.strictSame(await reactor.shutdown({ timeoutMs: LONG }), { drained: 6, cut: 0 })
  })
}
