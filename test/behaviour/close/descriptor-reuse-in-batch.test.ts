import type { Connection } from 'c1m'
import { test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { fresh } from '../../fixtures/random.js'
import { block, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

interface Life {
  readonly id: number
  readonly port: number | undefined
  text: string
  closes: number
}

const ROUNDS = 12
const A_ROUND = 40

for (const trigger of TRIGGERS) {
  // While the JS thread is blocked, connections close, and new ones open and send, before the first closes are
  // delivered.
  test(`a descriptor's new connection gets none of the old one's events (${trigger})`, async (t) => {
    const random = fresh(t)
    const lives: Life[] = []
    const strays: string[] = []
    const ids = new Set<number>()
    const check = (conn: Connection<Life>, event: string) => {
      const life = conn.data
      if (life.closes > 0 || life.id !== conn.id || life.port !== conn.remotePort)
        strays.push(`${event} of ${life.port}`)
    }
    const { port, reactor } = await serve<Life>(
      t,
      {
        open(conn) {
          conn.data = { id: conn.id, port: conn.remotePort, text: '', closes: 0 }
          lives.push(conn.data)
          if (ids.has(conn.id)) strays.push(`the id of ${conn.remotePort} is used again`)
          ids.add(conn.id)
        },
        data(conn, chunk) {
          check(conn, 'data')
          conn.data.text += chunk.toString()
          const roll = random.next()
          if (roll < 0.2) conn.destroy()
          else if (roll < 0.4) conn.reset()
          else conn.write(chunk)
        },
        end: (conn) => check(conn, 'end'),
        close(conn) {
          check(conn, 'close')
          conn.data.closes++
        },
      },
      {},
      { trigger },
    )
    // A serial number, because a peer's port may be used again after a reset.
    const sent = new Set<string>()
    let serial = 0
    let peers: Peer[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const before = peers
      peers = await Promise.all(Array.from({ length: A_ROUND }, () => connectPeer(t, port)))
      for (const peer of before) random.next() < 0.5 ? peer.reset() : peer.end()
      for (const peer of peers) {
        const text = `token ${serial++} from ${peer.port};`
        sent.add(text)
        peer.write(text)
        if (random.next() < 0.3) peer.reset()
      }
      block(10)
    }
    for (const peer of peers) peer.end()
    await until(() => reactor.connections.size === 0, 'all connections closed')
    t.strictSame(strays, [])
    t.equal(lives.length, ROUNDS * A_ROUND)
    t.ok(
      lives.every((life) => life.closes === 1),
      'each closed once',
    )
    // A connection may have received nothing, if the peer's RST overtook its bytes or a close of our own came first, or
    // only the first part, if its handler destroyed it.
    const own = ({ text, port }: Life) => [...sent].some((one) => one.endsWith(` ${port};`) && one.startsWith(text))
    const wrong = lives.filter((life) => life.text !== '' && !own(life))
    t.strictSame(wrong, [])
    t.ok(lives.filter((life) => life.text !== '').length > ROUNDS * A_ROUND * 0.5)
    await until(() => reactor.stats().closed === lives.length)
    t.ok(new Set(lives.map((life) => life.id % 2 ** 30)).size < lives.length, 'slots were used again')
  })
}
