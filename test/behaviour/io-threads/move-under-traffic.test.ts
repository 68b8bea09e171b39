import type { Connection } from 'c1m'
import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { sha256 } from '../../fixtures/bytes.js'
import { move, threadOf } from '../../fixtures/move.js'
import { connectPeer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const MIB = 1024 * 1024
/** Each peer sends so many bytes, and more for as long as there were too few moves. */
const BYTES = (SANITIZED ? 1 : 3) * MIB
const MAX_BYTES = 24 * MIB
const MOVES = 20

for (const trigger of TRIGGERS) {
  for (const [pausing, ownFileTable] of [
    [false, false],
    [true, false],
    [false, true],
  ] as const) {
    const how = `${pausing ? ', and pause,' : ''}${ownFileTable ? ' with file tables of their own' : ''} (${trigger})`
    test(`connections that are moved all the time lose no byte of an echo ${how}`, async (t) => {
      const random = seeded(7)
      const conns: Connection[] = []
      const log: string[] = []
      const { reactor, port } = await serve<unknown>(
        t,
        {
          open: (conn) => void conns.push(conn),
          data(conn, chunk) {
            conn.write(chunk)
            if (pausing && random.integer(0, 3) === 0) {
              conn.pause()
              setTimeout(() => conn.resume(), random.integer(0, 3))
            }
          },
          close: (_conn, error) => void log.push(`close ${error?.code}`),
        },
        { placement: 'round-robin', maxWriteQueue: 2 ** 30 },
        { trigger, ioThreads: { count: 4, ownFileTable } },
      )
      const peers = await Promise.all(Array.from({ length: 8 }, () => connectPeer(t, port)))
      await until(() => conns.length === peers.length)
      const threads = [...new Set(conns.map(threadOf))]
      t.equal(threads.length, 4)
      const ids = conns.map(({ id }) => id)
      let moved = 0
      const sending = peers.map(async (peer) => {
        const pieces: Buffer[] = []
        for (let sent = 0; sent < BYTES || (moved <= MOVES && sent < MAX_BYTES); ) {
          const piece = random.bytes(random.integer(1, 60_000))
          await peer.flush(piece)
          pieces.push(piece)
          sent += piece.length
        }
        peer.end()
        return sha256(Buffer.concat(pieces))
      })
      const moving = conns.map(async (conn) => {
        while (!conn.closed) if (await move(conn, random.pick(threads))) moved++
      })
      await Promise.all([...sending, ...moving, ...peers.map((peer) => peer.untilEnded())])
      t.strictSame(
        peers.map((peer) => sha256(peer.received)),
        await Promise.all(sending),
      )
      t.ok(moved > MOVES, `${moved} moves`)
      t.strictSame(
        conns.map(({ id }) => id),
        ids,
      )
      await until(() => log.length === conns.length)
      t.strictSame(new Set(log), new Set(['close undefined']))
      const { accepted, closed } = reactor.stats()
      await until(() => reactor.stats().closed === accepted, `${closed} closed of ${accepted}`)
    })
  }
}
