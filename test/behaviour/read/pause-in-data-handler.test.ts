import type { Connection } from 'c1m'
import { test } from 'tap'
import { OneBatch } from '../../fixtures/batch.js'
import { sha256 } from '../../fixtures/bytes.js'
import { connectPeer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { block, fence, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const MIB = 1024 * 1024

for (const trigger of TRIGGERS) {
  for (const read of ['owned', 'borrowed'] as const) {
    test(`pause() buffers the rest of a batch, and resume() delivers it in order (${read}, ${trigger})`, async (t) => {
      const payload = seeded(11).bytes(3 * MIB)
      const chunks: Buffer[] = []
      const conns: Connection[] = []
      let early = 0
      let ends = 0
      let closes = 0
      const { port, reactor } = await serve<unknown>(
        t,
        {
          open: (conn) => void conns.push(conn),
          data(conn, chunk) {
            if (conn.paused) early++
            chunks.push(Buffer.from(chunk))
            conn.pause()
          },
          end(conn) {
            if (conn.paused) early++
            ends++
          },
          close: () => void closes++,
        },
        { read },
        { trigger, poisonBorrowed: true },
      )
      const peer = await connectPeer(t, port)
      await until(() => conns.length === 1)
      const conn = conns[0] as Connection
      peer.end(payload)
      // Many reads fill several batches before the first handler runs.
      block(50)
      await until(() => chunks.length === 1)
      await fence(reactor)
      t.equal(chunks.length, 1, 'paused by the first chunk')
      t.equal(ends, 0)
      let steps = 0
      while (closes === 0) {
        const seen = chunks.length
        conn.resume()
        await until(() => chunks.length > seen || ends > 0)
        if (steps++ < 20) await fence(reactor)
        if (chunks.length > seen + 1) t.fail('two chunks after one resume')
        if (ends > 0) await until(() => closes === 1)
      }
      t.equal(early, 0)
      t.equal(ends, 1)
      t.equal(closes, 1)
      t.ok(chunks.length > 10)
      t.equal(sha256(Buffer.concat(chunks)), sha256(payload))
    })
  }

  test(`resume() by another connection's handler in the same batch keeps the order (${trigger})`, async (t) => {
    const received: Buffer[] = []
    let length = 0
    const conns = new Map<string, Connection>()
    let pausedDeliveries = 0
    const { port } = await serve<unknown>(
      t,
      {
        data(conn, chunk) {
          const first = chunk.toString('latin1', 0, 6)
          if (first === 'name a' || first === 'name b') return void conns.set(first, conn)
          if (first === 'resume') return void conns.get('name a')?.resume()
          if (conn !== conns.get('name a')) return
          if (conn.paused) pausedDeliveries++
          received.push(chunk)
          length += chunk.length
          conn.pause()
        },
      },
      {},
      { trigger },
    )
    const together = await OneBatch.prepare(t, port)
    const a = await connectPeer(t, port)
    const b = await connectPeer(t, port)
    a.write('name a')
    b.write('name b')
    await until(() => conns.size === 2)
    const numbers = Uint32Array.from({ length: 160_000 }, (_, i) => i)
    together.run(() => {
      a.write(new Uint8Array(numbers.buffer))
      b.write('resume')
    })
    while (length < numbers.byteLength) {
      const seen = length
      conns.get('name a')?.resume()
      await until(() => length > seen)
    }
    t.equal(pausedDeliveries, 0)
    t.ok(Buffer.concat(received).equals(Buffer.from(numbers.buffer)), 'in order')
  })

  test(`pause() and resume() in one handler have no effect (${trigger})`, async (t) => {
    const payload = seeded(5).bytes(2 * MIB)
    const chunks: Buffer[] = []
    let ended = false
    const { port } = await serve<unknown>(
      t,
      {
        data(conn, chunk) {
          conn.pause()
          chunks.push(chunk)
          conn.resume()
        },
        end() {
          ended = true
        },
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.end(payload)
    block(30)
    await until(() => ended)
    t.equal(sha256(Buffer.concat(chunks)), sha256(payload))
  })
}
