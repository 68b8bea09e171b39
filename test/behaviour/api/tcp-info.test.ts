import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection, TcpInfo } from 'c1m'
import { type Test, test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { serve, until } from '../../fixtures/reactor.js'

interface Open {
  readonly conn: Connection<undefined>
  readonly peer: Peer
  received(): number
}

async function open(t: Test): Promise<Open> {
  let conn: Connection<undefined> | undefined
  let received = 0
  const { port } = await serve(
    t,
    {
      open(opened) {
        conn = opened
      },
      data(_conn, chunk) {
        received += chunk.length
      },
    },
    { allowHalfOpen: true },
  )
  const peer = await connectPeer(t, port)
  await until(() => conn !== undefined)
  return { conn: conn as unknown as Connection<undefined>, peer, received: () => received }
}

/** Repeats `tcpInfo()` until `holds` returns true, because acknowledgements take a moment. */
async function infoWhen(conn: Connection<undefined>, holds: (info: TcpInfo) => boolean): Promise<TcpInfo> {
  const deadline = Date.now() + 20_000
  for (;;) {
    const info = await conn.tcpInfo()
    if (holds(info)) return info
    if (Date.now() > deadline) throw new Error(JSON.stringify(info))
    await sleep(2)
  }
}

test('tcpInfo() has the round trip, the bytes of both directions, and the state', async (t) => {
  const { conn, peer, received } = await open(t)
  peer.write(Buffer.alloc(5000))
  conn.write(Buffer.alloc(7000))
  await peer.untilBytes(7000)
  await until(() => received() === 5000)
  const info = await infoWhen(conn, ({ bytesAcked = 0 }) => bytesAcked >= 7000)
  t.equal(info.state, 'established')
  t.ok(info.rttMicros > 0 && info.rttMicros < 10_000_000, `a round trip of ${info.rttMicros} µs`)
  t.ok(info.rttVarMicros > 0)
  t.ok(info.rtoMicros > 0)
  t.equal(info.bytesReceived, 5000)
  t.equal(info.bytesSent, 7000)
  t.equal(info.bytesAcked, 7000)
  t.equal(info.totalRetransmits, 0)
  t.equal(info.unacked, 0)
  t.equal(info.notSentBytes, 0)
  t.ok(info.congestionWindow > 0)
  t.equal(info.slowStartThreshold, Number.POSITIVE_INFINITY)
  t.ok(info.sendMss >= 536)
  for (const [name, value] of Object.entries(info)) {
    if (name === 'state') continue
    t.ok(typeof value === 'number' && value >= 0, `${name}: ${value}`)
  }
})

test('tcpInfo() has the state after the FIN of the peer, and after our own', async (t) => {
  const { conn, peer } = await open(t)
  peer.end()
  t.equal((await infoWhen(conn, ({ state }) => state !== 'established')).state, 'close-wait')

  const other = await open(t)
  other.conn.end()
  await other.peer.untilEnded()
  t.equal((await infoWhen(other.conn, ({ state }) => state !== 'fin-wait-1')).state, 'fin-wait-2')
})

test('tcpInfo() counts bytes that the peer does not read as not sent', async (t) => {
  const { conn, peer } = await open(t)
  peer.socket.pause()
  conn.write(Buffer.alloc(14 * 1024 * 1024))
  const info = await infoWhen(conn, ({ notSentBytes = 0 }) => notSentBytes > 0)
  t.ok((info.receiveWindowLimitedMicros ?? 0) >= 0)
  t.ok(conn.writableLength > 0)
})

test('5,000 simultaneous calls of tcpInfo() all resolve', async (t) => {
  const { conn } = await open(t)
  const answers = await Promise.all(Array.from({ length: 5000 }, () => conn.tcpInfo()))
  t.equal(answers.filter(({ state }) => state === 'established').length, 5000)
})
