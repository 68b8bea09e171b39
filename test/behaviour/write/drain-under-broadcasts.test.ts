import type { Connection } from 'c1m'
import { test } from 'tap'
import { temporaryFile } from '../../fixtures/file.js'
import { move, threadOf } from '../../fixtures/move.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makePool } from '../../fixtures/pool.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

/** Chunks ahead of what it writes itself. */
const BEFORE = 16
/** Of a peer that has been paused: so many bytes, whenever there are any. */
const KEPT = 256 * 1024

for (const trigger of TRIGGERS) {
  for (const who of ['broadcasts', 'a worker'] as const) {
    test(`drain comes while ${who === 'broadcasts' ? who : `${who}'s writes`} are queued (${trigger})`, async (t) => {
      const conns: Connection[] = []
      const lengths: number[] = []
      const { reactor, port } = await serve<unknown>(
        t,
        {
          open: (conn) => void conns.push(conn as Connection),
          drain: (conn) => void lengths.push(conn.writableLength),
        },
        { sendBufferBytes: 16 * 1024, maxWriteQueue: 64 << 20, placement: 'round-robin' },
        { trigger, ioThreads: 2 },
      )
      const peer = await connectPeer(t, port)
      // The second peer waits for the first one's open, because I/O threads report in any order.
      await until(() => conns.length === 1)
      await connectPeer(t, port)
      await until(() => conns.length === 2)
      const [conn, other] = conns as [Connection, Connection]
      const room = reactor.createGroup()
      room.add(conn)
      const pool = who === 'broadcasts' ? undefined : makePool(t)
      const more = async () => {
        const chunk = 'x'.repeat(64 * 1024)
        if (pool === undefined) await room.broadcast(chunk)
        else await pool.run({ kind: 'answer', value: chunk }, { connection: conn })
      }
      peer.socket.pause()
      const read = (length: number) => until(() => peer.socket.read(length) !== null)
      // More bytes than the kernel takes, before and behind.
      for (let i = 0; i < BEFORE; i++) await more()
      t.equal(conn.write(Buffer.alloc(100_000)), false)
      const { path, content } = temporaryFile(t, 50_000)
      const sending = conn.sendFile(path)
      let ahead = (BEFORE + 1) * 64 * 1024 + 150_000
      t.equal(lengths.length, 0)
      while (lengths.length === 0) {
        await more()
        await read(KEPT / 2)
        ahead -= KEPT / 2
        if (ahead < -(8 << 20)) break
      }
      t.strictSame(lengths, [0])
      t.ok(reactor.stats().queueBytes > 0, 'with a queue that is not empty')
      t.equal(await sending, content.length, 'the file has gone by then')
      const rest = [more(), more()]
      t.equal(conn.write(Buffer.alloc(100_000)), false)
      if (who === 'broadcasts') t.equal(await move(conn, threadOf(other)), true)
      peer.socket.resume()
      await Promise.all(rest)
      await until(() => lengths.length === 2)
      t.strictSame(lengths, [0, 0])
      conn.end()
      await peer.untilEnded()
      t.equal(lengths.length, 2)
    })
  }
}
