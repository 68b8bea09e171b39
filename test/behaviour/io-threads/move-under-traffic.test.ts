import { createHash } from 'node:crypto'
import type { Connection } from 'c1m'
import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { sha256 } from '../../fixtures/bytes.js'
import { move, threadOf } from '../../fixtures/move.js'
import { connectPeer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const BYTES = (SANITIZED ? 1 : 3) * 1024 * 1024
const MOVES = 20

for (const trigger of TRIGGERS) {
  for (const [pausing, ownFileTable] of [
    [false, false],
    [true, false],
    [false, true],
  ] as const) {
    const how = `${pausing ? ', and pause,' : ''}${ownFileTable ? ' with file tables of their own' : ''} (${trigger})`
    test(`connections that move between threads all the time lose no byte of an echo ${how}`, async (t) => {
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
      // The traffic lasts until there were enough moves, whichever the machine is faster at.
      const sending = peers.map(async (peer) => {
        const hash = createHash('sha256')
        for (let sent = 0; sent < BYTES || moved <= MOVES; ) {
          const piece = random.bytes(random.integer(1, 60_000))
          hash.update(piece)
          await peer.flush(piece)
          sent += piece.length
        }
        peer.end()
        return hash.digest('hex')
      })
      const moving = conns.map(async (conn) => {
        while (!conn.closed) if (await move(conn, random.pick(threads))) moved++
      })
      const ended = peers.map((peer) => peer.untilEnded())
      const [sent] = await Promise.all([Promise.all(sending), ...moving, ...ended])
      t.strictSame(
        peers.map((peer) => sha256(peer.received)),
        sent,
      )
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
