import type { Connection } from 'c1m'
import { test } from 'tap'
import { sha256 } from '../../fixtures/bytes.js'
import { collectGarbage } from '../../fixtures/garbage.js'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { fence, quiet, type Served, serve, until } from '../../fixtures/reactor.js'

const MIB = 1024 * 1024
// More than the kernel's buffers of a connection hold, as its send buffer is small.
const SIZE = 6 * MIB
const SEND_BUFFER = 128 * 1024

interface Bench extends Served<unknown> {
  readonly conn: Connection
  readonly peer: Peer
}

async function bench(t: Parameters<typeof serve>[0]): Promise<Bench> {
  const conns: Connection[] = []
  const served = await serve<unknown>(
    t,
    { open: (conn) => void conns.push(conn) },
    {
      maxWriteQueue: 256 * MIB,
      sendBufferBytes: SEND_BUFFER,
    },
  )
  const peer = await connectPeer(t, served.port)
  peer.socket.pause()
  await until(() => conns.length === 1)
  return { ...served, conn: conns[0] as Connection, peer }
}

/** Writes bytes, and returns the only reference to them, which is weak. */
function writeAndForget(conn: Connection, size: number, fill: number): WeakRef<ArrayBufferLike> {
  const bytes = Buffer.allocUnsafeSlow(size).fill(fill)
  conn.write(bytes)
  return new WeakRef(bytes.buffer)
}

/** Allocates freed memory, and overwrites it. */
function churn(): number {
  let sum = 0
  for (let i = 0; i < 8; i++) sum += Buffer.alloc(SIZE, 0xee)[i] as number
  return sum
}

test('written bytes without another reference are kept until they are sent, and not longer', async (t) => {
  const { conn, peer, reactor } = await bench(t)
  const memory = writeAndForget(conn, SIZE, 7)
  await quiet(reactor)
  await collectGarbage()
  churn()
  await collectGarbage()
  t.ok(conn.writableLength > 0, 'part of it is unsent')
  t.ok(memory.deref() !== undefined, 'alive while unsent')
  peer.socket.resume()
  await peer.untilBytes(SIZE)
  t.equal(sha256(peer.received), sha256(Buffer.alloc(SIZE, 7)))
  peer.chunks.length = 0
  await collectGarbage()
  t.equal(memory.deref(), undefined, 'free when sent')
})

test('a closing connection releases its unsent bytes', async (t) => {
  const { conn, peer, reactor } = await bench(t)
  const memories = [writeAndForget(conn, SIZE, 1), writeAndForget(conn, SIZE, 2), writeAndForget(conn, 20_000, 3)]
  await quiet(reactor)
  await collectGarbage()
  t.ok(memories.every((memory) => memory.deref() !== undefined))
  peer.reset()
  await until(() => reactor.connections.size === 0)
  await fence(reactor)
  await collectGarbage()
  t.ok(memories.every((memory) => memory.deref() === undefined))
})

test('bytes written to a connection that has closed meanwhile are released', async (t) => {
  const { conn, peer, reactor } = await bench(t)
  peer.reset()
  // No turn of the event loop in between: JavaScript doesn't know of the reset, and the I/O thread may.
  const memory = writeAndForget(conn, SIZE, 1)
  const destroyed = writeAndForget(conn, SIZE, 1)
  conn.destroy()
  await until(() => reactor.connections.size === 0)
  await fence(reactor)
  await collectGarbage()
  t.equal(memory.deref(), undefined)
  t.equal(destroyed.deref(), undefined)
})

test('many rounds of pinned writes don’t make memory grow', async (t) => {
  const { conn, peer, reactor } = await bench(t)
  peer.socket.resume()
  peer.socket.on('data', () => {
    peer.chunks.length = 0
  })
  const round = async (count: number) => {
    for (let i = 0; i < count; i++) {
      writeAndForget(conn, MIB / 4, i)
      if (i % 8 === 7) await until(() => conn.writableLength === 0)
    }
    await until(() => conn.writableLength === 0)
    await fence(reactor)
    await collectGarbage()
  }
  await round(40)
  const before = process.memoryUsage().arrayBuffers
  await round(160)
  t.ok(process.memoryUsage().arrayBuffers - before < 4 * MIB)
})

type Memory = { readonly buffer: ArrayBuffer; grow(pages: number): number }
const { Memory } = Reflect.get(globalThis, 'WebAssembly') as { Memory: new (of: object) => Memory }

for (const maximum of [undefined, 1024]) {
  test(`the memory of a WebAssembly module may grow while its bytes are sent (maximum ${maximum})`, async (t) => {
    const { conn, peer, reactor } = await bench(t)
    const memory = new Memory({ initial: SIZE / 65_536, ...(maximum !== undefined && { maximum }) })
    conn.write(new Uint8Array(memory.buffer).fill(7))
    await quiet(reactor)
    t.ok(conn.writableLength > 0, 'part of it is unsent')
    // V8 has reserved the addresses behind it: the bytes stay in place, although the buffer is another object now.
    memory.grow(100)
    await collectGarbage()
    churn()
    peer.socket.resume()
    await peer.untilBytes(SIZE)
    t.equal(sha256(peer.received), sha256(Buffer.alloc(SIZE, 7)))
  })
}
