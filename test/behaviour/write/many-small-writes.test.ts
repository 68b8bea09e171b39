import type { Connection } from 'c1m'
import { test } from 'tap'
import { sha256 } from '../../fixtures/bytes.js'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { fence, type Served, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const KIB = 1024

interface Bench extends Served<unknown> {
  readonly peer: Peer
}

/** Returns a connection whose data handler calls `act`. */
async function actor(
  t: Parameters<typeof serve>[0],
  trigger: 'edge' | 'level',
  act: (conn: Connection) => void,
): Promise<Bench> {
  const served = await serve<unknown>(t, { data: (conn) => act(conn) }, { maxWriteQueue: 64 * KIB * KIB }, { trigger })
  return { ...served, peer: await connectPeer(t, served.port) }
}

/** Returns a view of an ArrayBuffer that can shrink, where this version of Node has them. */
function resizable(bytes: Buffer): Uint8Array | undefined {
  const Resizable = ArrayBuffer as unknown as new (length: number, options: { maxByteLength: number }) => ArrayBuffer
  const memory = new Resizable(bytes.length, { maxByteLength: 2 * bytes.length })
  if (!('resize' in memory)) return undefined
  const view = new Uint8Array(memory)
  view.set(bytes)
  return view
}

for (const trigger of TRIGGERS) {
  test(`writes of one handler are sent by one system call, in order (${trigger})`, async (t) => {
    const expected: Buffer[] = []
    const { reactor, peer } = await actor(t, trigger, (conn) => {
      for (let i = 0; i < 500; i++) {
        const part = Buffer.from(`line ${i};`)
        expected.push(part)
        conn.write(i % 2 === 0 ? part : part.toString())
      }
    })
    const before = reactor.stats().writes
    peer.write('go')
    await until(() => expected.length > 0 && peer.length >= Buffer.concat(expected).length)
    t.equal(peer.text, Buffer.concat(expected).toString())
    await until(() => reactor.stats().writes > before)
    await fence(reactor)
    t.equal(reactor.stats().writes - before, 1)
  })

  test(`copied and pinned writes of one handler are sent by one system call (${trigger})`, async (t) => {
    const random = seeded(21)
    const parts = [random.bytes(10), random.bytes(20 * KIB), random.bytes(10), random.bytes(17 * KIB), random.bytes(3)]
    const { reactor, peer } = await actor(t, trigger, (conn) => {
      for (const part of parts) conn.write(part)
    })
    const before = reactor.stats().writes
    peer.write('go')
    await peer.untilBytes(Buffer.concat(parts).length)
    t.equal(sha256(peer.received), sha256(Buffer.concat(parts)))
    await until(() => reactor.stats().writes > before)
    await fence(reactor)
    t.equal(reactor.stats().writes - before, 1)
  })

  test(`strings of every encoding and bytes of every kind are sent in order (${trigger})`, async (t) => {
    const random = seeded(99)
    const expected: Buffer[] = []
    const { peer } = await actor(t, trigger, (conn) => {
      const text = (value: string, encoding?: BufferEncoding) => {
        expected.push(Buffer.from(value, encoding))
        encoding === undefined ? conn.write(value) : conn.write(value, encoding)
      }
      const bytes = (value: Uint8Array) => {
        expected.push(Buffer.from(value))
        conn.write(value)
      }
      text('plain')
      text('grüße, 世界 🌍')
      text('lone \ud800 surrogate \udc00', 'utf8')
      text('latin ÿ', 'latin1')
      text('bin ÿ', 'binary')
      text('ascii', 'ascii')
      text('wide 世界', 'utf16le')
      text('wide 世界', 'ucs2')
      text('c0ffee00', 'hex')
      text('abc', 'hex')
      text('AAECAwQ=', 'base64')
      text('-_-_', 'base64url')
      text('')
      bytes(new Uint8Array(0))
      bytes(Buffer.alloc(0))
      bytes(random.bytes(KIB))
      bytes(new Uint8Array(random.bytes(100).buffer, 16, 40))
      // The sizes around those from which bytes are pinned instead of copied, and strings encoded separately.
      for (const size of [5461, 5462, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 300 * KIB]) {
        text('€'.repeat(size))
        text('a'.repeat(size))
        bytes(random.bytes(size))
      }
      const shared = new Uint8Array(new SharedArrayBuffer(20 * KIB))
      shared.set(random.bytes(20 * KIB))
      bytes(shared)
      text('the end')
    })
    peer.write('go')
    await until(() => expected.length > 0 && peer.length >= Buffer.concat(expected).length)
    t.equal(peer.length, Buffer.concat(expected).length)
    t.equal(sha256(peer.received), sha256(Buffer.concat(expected)))
  })

  test(`writes beyond a batch's records and arena are sent in order (${trigger})`, async (t) => {
    const random = seeded(1234)
    const expected: Buffer[] = []
    let turn = 0
    const others: Connection[] = []
    const { peer, port } = await actor(t, trigger, (conn) => {
      if (turn++ === 0) return void others.push(conn)
      for (let i = 0; i < 6000; i++) {
        const part = random.bytes(random.integer(0, 200))
        expected.push(part)
        conn.write(part)
        // Keeps the writes from merging into one record.
        others[0]?.write('.')
      }
    })
    const other = await connectPeer(t, port)
    other.write('first')
    await until(() => others.length === 1)
    peer.write('go')
    await until(() => expected.length > 0 && peer.length >= Buffer.concat(expected).length)
    await other.untilBytes(6000)
    t.equal(sha256(peer.received), sha256(Buffer.concat(expected)))
    t.equal(other.text, '.'.repeat(6000))
  })

  test(`a resizable buffer may shrink immediately after write() (${trigger})`, async (t) => {
    const payload = seeded(4).bytes(400 * KIB)
    let skipped = false
    const { peer } = await actor(t, trigger, (conn) => {
      const view = resizable(payload)
      if (view === undefined) {
        skipped = true
        return
      }
      conn.write(view)
      ;(view.buffer as ArrayBuffer & { resize(length: number): void }).resize(0)
    })
    peer.socket.pause()
    peer.write('go')
    setTimeout(() => peer.socket.resume(), 30)
    await until(() => skipped || peer.length >= payload.length)
    if (!skipped) t.equal(sha256(peer.received), sha256(payload))
  })

  test(`a small buffer may change immediately after write() (${trigger})`, async (t) => {
    const scratch = Buffer.alloc(16 * KIB - 1)
    const { peer } = await actor(t, trigger, (conn) => {
      for (let i = 0; i < 40; i++) {
        scratch.fill(i)
        conn.write(scratch)
      }
    })
    peer.write('go')
    await peer.untilBytes(40 * scratch.length)
    const expected = Buffer.concat(Array.from({ length: 40 }, (_, i) => Buffer.alloc(scratch.length, i)))
    t.equal(sha256(peer.received), sha256(expected))
  })
}
