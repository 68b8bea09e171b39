import { setTimeout as sleep } from 'node:timers/promises'
// The queue of a connection whose peer doesn't read takes memory in proportion to `maxWriteQueue`, whatever is queued.
import type { Connection, ListenOptions } from 'c1m'
import { type Test, test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { startChild } from '../../fixtures/child.js'
import { temporaryFile } from '../../fixtures/file.js'
import { collected, collectGarbage } from '../../fixtures/garbage.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makePool } from '../../fixtures/pool.js'
import { fence, serve, until } from '../../fixtures/reactor.js'

const KIB = 1024
const MIB = 1024 * KIB
const LIMIT = MIB
/** More bytes than the kernel takes for a peer that doesn't read (`tcp_wmem`, `tcp_rmem`). */
const PLUG = 128 * MIB

/** Returns a connection whose socket is full, because its peer doesn't read. */
async function stalled(t: Test, options: Partial<ListenOptions> = {}) {
  const conns: Connection[] = []
  const errors: unknown[] = []
  const { port, reactor } = await serve<unknown>(
    t,
    { open: (conn) => void conns.push(conn), close: (_conn, error) => void errors.push(error?.code) },
    { sendBufferBytes: 4096, highWaterMark: 1, maxWriteQueue: LIMIT, ...options },
  )
  const peer = await connectPeer(t, port)
  peer.socket.pause()
  await until(() => conns.length === 1)
  const conn = conns[0] as Connection
  const fill = Buffer.alloc(512 * KIB)
  // The socket is filled until a part stays in the queue, however much the kernel takes.
  for (let sent = 0; sent < PLUG && conn.writableLength === 0; sent += fill.length) {
    conn.write(fill)
    // Waits until all is sent, or for longer than the peer's kernel may delay an ACK (40 ms).
    for (let round = 0; round < 20 && conn.writableLength > 0; round++) await sleep(5)
  }
  t.ok(conn.writableLength > 0, 'its socket is full')
  return { conn, errors, reactor, peer }
}

/** Calls `act` up to `times` times, with turns of the event loop, until the connection closes. Returns the count. */
async function often(times: number, conn: Connection, act: () => void): Promise<number> {
  for (let done = 0; done < times; done++) {
    if (conn.closed) return done
    act()
    if (done % 500 === 499) await sleep(1)
  }
  return times
}

/** The limit applies to the bytes and to their overhead separately; in addition a batch of commands is in flight. */
const BOUND = 2 * LIMIT + 512 * KIB

const MIXTURES: Record<string, (conn: Connection, more: { broadcast(): void; file: string }) => void> = {
  'a byte written and a byte broadcast': (conn, { broadcast }) => {
    broadcast()
    conn.write('w')
  },
  'broadcasts of a byte': (_conn, { broadcast }) => broadcast(),
  'files of a byte, with a byte before': (conn, { file }) => {
    conn.write('h')
    conn.sendFile(file).catch(() => {})
  },
}

for (const [name, act] of Object.entries(MIXTURES)) {
  test(`${name}, 40,000 times, take at most twice the limit`, async (t) => {
    const { conn, errors, reactor } = await stalled(t)
    // Two groups alternate, because consecutive broadcasts to the same group would be joined.
    const groups = [reactor.createGroup(), reactor.createGroup()]
    for (const group of groups) group.add(conn)
    let max = 0
    let turn = 0
    const broadcast = () => void groups[turn++ % 2]?.broadcast('b')
    const file = temporaryFile(t, 1).path
    const done = await often(40_000, conn, () => {
      act(conn, { broadcast, file })
      max = Math.max(max, reactor.stats().queueBytes)
    })
    t.ok(done < 40_000, `closed after ${done}`)
    t.ok(max < BOUND, `${max} bytes held`)
    await until(() => errors.length === 1)
    t.strictSame(errors, ['ERR_C1M_WRITE_QUEUE_FULL'])
    await until(() => reactor.stats().queueBytes === 0)
  })
}

test('40,000 writes of a byte behind pinned buffers and a file share their blocks', async (t) => {
  const { conn, errors, reactor } = await stalled(t, { maxWriteQueue: 64 * MIB })
  const before = reactor.stats().queueBytes
  conn.sendFile(temporaryFile(t, 1000).path).catch(() => {})
  const pinned = Buffer.alloc(16 * KIB)
  for (let i = 0; i < 100; i++) {
    conn.write(pinned)
    for (let j = 0; j < 400; j++) conn.write('w')
  }
  await until(() => reactor.stats().queueBytes > before)
  await fence(reactor)
  const held = reactor.stats().queueBytes - before
  t.ok(held < 100 * 16 * KIB + 40_000 + 64 * KIB, `${held} bytes held`)
  t.strictSame(errors, [])
  conn.destroy()
})

test('workers’ writes of a byte share their blocks, also between writes of the JS thread', async (t) => {
  const { conn, errors, reactor } = await stalled(t)
  const pool = makePool(t, { size: 1 })
  const before = reactor.stats().queueBytes
  t.equal(await pool.run({ kind: 'answer-often', value: 40_000 }, { connection: conn }), 40_000)
  await until(() => reactor.stats().queueBytes > before)
  await fence(reactor)
  const held = reactor.stats().queueBytes - before
  t.ok(held < 400 * KIB, `${held} bytes held`)
  t.equal(conn.closed, false)
  t.strictSame(errors, [])
  conn.destroy()
})

test('files count for maxWriteQueue: one too many rejects, and the connection is destroyed', async (t) => {
  const { conn, errors, peer } = await stalled(t)
  const file = temporaryFile(t, 1).path
  const outcomes: Promise<unknown>[] = []
  // Sends as a handler does for many requests in one chunk.
  while (!conn.closed && outcomes.length < 10_000) {
    outcomes.push(
      conn.sendFile(file).then(
        () => 'sent',
        (error) => error.code,
      ),
    )
  }
  t.ok(outcomes.length <= LIMIT / (2 * KIB) + 1, `${outcomes.length} files`)
  const codes = new Set(await Promise.all(outcomes))
  t.strictSame(codes, new Set(['ERR_C1M_CONNECTION_CLOSED', 'ERR_C1M_WRITE_QUEUE_FULL']))
  t.equal(await outcomes.at(-1), 'ERR_C1M_WRITE_QUEUE_FULL')
  await until(() => errors.length === 1)
  t.strictSame(errors, ['ERR_C1M_WRITE_QUEUE_FULL'])
  await t.rejects(conn.sendFile(file), { code: 'ERR_C1M_CONNECTION_CLOSED' })
  peer.socket.resume()
})

test('sent files don’t count for maxWriteQueue any more', async (t) => {
  const conns: Connection[] = []
  const { port } = await serve<unknown>(
    t,
    { open: (conn) => void conns.push(conn) },
    { highWaterMark: 1, maxWriteQueue: 64 * KIB },
  )
  const peer = await connectPeer(t, port)
  await until(() => conns.length === 1)
  const file = temporaryFile(t, 1).path
  // The limit allows 32 files at the same time.
  for (let round = 0; round < 10; round++) {
    const sent = await Promise.all(Array.from({ length: 32 }, () => (conns[0] as Connection).sendFile(file)))
    t.equal(sent.length, 32)
  }
  await peer.untilBytes(320)
  t.equal(conns[0]?.closed, false)
})

test('the queued rest of a slice of a slab is copied, and the slab is released', async (t) => {
  const { conn, reactor } = await stalled(t, { maxWriteQueue: 64 * MIB })
  const before = reactor.stats().queueBytes
  const slabs: WeakRef<ArrayBufferLike>[] = []
  const group = reactor.createGroup()
  group.add(conn)
  ;(() => {
    for (let i = 0; i < 20; i++) {
      const slab = Buffer.alloc(256 * KIB)
      slabs.push(new WeakRef(slab.buffer))
      if (i % 2 === 0) conn.write(slab.subarray(0, 16 * KIB))
      else void group.broadcast(slab.subarray(0, 16 * KIB))
    }
  })()
  await until(() => reactor.stats().queueBytes - before >= 20 * 16 * KIB)
  const held = reactor.stats().queueBytes - before
  t.ok(held < 20 * 16 * KIB + 32 * KIB, `${held} bytes held`)
  t.equal(await collected(slabs), slabs.length)
  conn.destroy()
})

test('a queue of 2 GiB is more than a maxWriteQueue of 1 GiB', async (t) => {
  const GIB = 1024 * MIB
  const { conn, errors } = await stalled(t, { maxWriteQueue: GIB })
  // The pages of this buffer are never touched.
  const half = new Uint8Array(new ArrayBuffer(GIB)).subarray(0, GIB - conn.writableLength)
  t.equal(conn.write(half), false)
  t.equal(conn.writableLength, GIB)
  t.equal(conn.write(new Uint8Array(half.buffer)), false)
  t.equal(conn.closed, true)
  await until(() => errors.length === 1)
  t.strictSame(errors, ['ERR_C1M_WRITE_QUEUE_FULL'])
})

test('lengths of 4 GiB and more are not truncated to 32 bits', {
  skip: SANITIZED && 'needs its pages',
}, async (t) => {
  // The pages of this buffer are never touched.
  const huge = new Uint8Array(2 ** 32)
  const conns: Connection[] = []
  const errors: unknown[] = []
  const { port, reactor } = await serve<unknown>(t, {
    open: (conn) => void conns.push(conn),
    close: (_conn, error) => void errors.push(error?.code),
  })
  await connectPeer(t, port)
  await until(() => conns.length === 1)
  const peer = await connectPeer(t, port)
  await until(() => conns.length === 2)
  const [a, b] = conns as [Connection, Connection]
  const group = reactor.createGroup()
  group.add(a)
  t.strictSame(await group.broadcast(huge), { reached: 0, queued: 0, cut: 1 })
  await until(() => errors.length === 1)
  t.strictSame(errors, ['ERR_C1M_WRITE_QUEUE_FULL'])
  const pool = makePool(t, { size: 1 })
  t.equal(await pool.run({ kind: 'answer-huge', value: 2 ** 32 }, { connection: b }), false)
  t.equal(b.write(huge), false)
  await until(() => errors.length === 2)
  t.strictSame(errors, ['ERR_C1M_WRITE_QUEUE_FULL', 'ERR_C1M_WRITE_QUEUE_FULL'])
  t.equal(peer.length, 0)
})

test('the memory of a burst is released to the system', { timeout: 120_000 }, async (t) => {
  const conns: Connection[] = []
  const { port, reactor } = await serve<unknown>(
    t,
    { open: (conn) => void conns.push(conn) },
    { maxWriteQueue: 1024 * MIB },
  )
  // The peer is in another process, whose memory doesn't count.
  const sink = startChild(t, 'sink')
  sink.tell(String(port))
  await until(() => conns.length === 1)
  const conn = conns[0] as Connection
  const part = Buffer.alloc(10 * KIB)
  const rss: number[] = []
  // Under the sanitizer memory is not measured.
  const BURST = (SANITIZED ? 20 : 80) * MIB
  for (const bytes of [part.length, BURST, part.length]) {
    // Without a turn in between: each batch of commands is a new one, and bytes that the socket doesn't take are
    // copied.
    for (let written = 0; written < bytes; written += part.length) conn.write(part)
    await until(() => conn.writableLength === 0)
    await collectGarbage()
    await until(() => reactor.stats().queueBytes === 0)
    rss.push(process.memoryUsage.rss())
  }
  const growth = (rss[2] as number) - (rss[0] as number)
  t.ok(SANITIZED || growth < 30 * MIB, `${growth} bytes more after the burst`)
})
