import type { Connection } from 'c1m'
import { test } from 'tap'
import { sha256 } from '../../fixtures/bytes.js'
import { connectPeer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const MIB = 1024 * 1024

for (const trigger of TRIGGERS) {
  test(`a borrowed chunk is intact while its handler runs (${trigger})`, async (t) => {
    const payload = seeded(31).bytes(20 * MIB)
    let at = 0
    let wrong = 0
    let ended = false
    const memories = new Set<ArrayBufferLike>()
    const { port } = await serve<unknown>(
      t,
      {
        data(_conn, chunk) {
          memories.add(chunk.buffer)
          if (!chunk.equals(payload.subarray(at, at + chunk.length))) wrong++
          at += chunk.length
        },
        end() {
          ended = true
        },
      },
      { read: 'borrowed' },
      { trigger, poisonBorrowed: true },
    )
    const peer = await connectPeer(t, port)
    peer.end(payload)
    await until(() => ended)
    t.equal(at, payload.length)
    t.equal(wrong, 0)
    const bytes = [...memories].reduce((sum, memory) => sum + memory.byteLength, 0)
    t.ok(bytes <= 4 * MIB, `20 MiB went through ${bytes} bytes of memory`)
  })

  test(`the memory of a borrowed chunk is used again after its handler (${trigger})`, async (t) => {
    const chunks: Buffer[] = []
    const texts: string[] = []
    const { port } = await serve<unknown>(
      t,
      {
        data(_conn, chunk) {
          chunks.push(chunk)
          texts.push(chunk.toString())
        },
      },
      { read: 'borrowed' },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    for (let i = 0; i < 20; i++) {
      peer.write(`number ${i}`)
      await until(() => texts.length === i + 1)
    }
    t.strictSame(
      texts,
      Array.from({ length: 20 }, (_, i) => `number ${i}`),
    )
    t.not(chunks[0]?.toString(), 'number 0')
  })

  test(`poisonBorrowed overwrites a chunk when its handler has returned, or thrown (${trigger})`, async (t) => {
    const chunks: Buffer[] = []
    const inside: string[] = []
    const caught: unknown[] = []
    const onUncaught = (error: Error) => void caught.push(error.message)
    const { port } = await serve<unknown>(
      t,
      {
        data(_conn, chunk) {
          chunks.push(chunk)
          inside.push(chunk.toString())
          if (chunks.length === 2) throw new Error('on purpose')
        },
      },
      { read: 'borrowed' },
      { trigger, poisonBorrowed: true },
    )
    const peer = await connectPeer(t, port)
    process.prependListener('uncaughtException', onUncaught)
    t.teardown(() => process.removeListener('uncaughtException', onUncaught))
    process.setUncaughtExceptionCaptureCallback((error) => void caught.push(error.message))
    t.teardown(() => process.setUncaughtExceptionCaptureCallback(null))
    for (const text of ['one', 'two', 'three']) {
      const before = chunks.length
      peer.write(text)
      await until(() => chunks.length > before)
      t.strictSame(chunks.at(-1), Buffer.alloc(text.length, 0xdd))
    }
    t.strictSame(inside, ['one', 'two', 'three'])
    t.strictSame(caught, ['on purpose'])
  })

  test(`chunks buffered in a pause are copied (${trigger})`, async (t) => {
    const texts: string[] = []
    const chunks: Buffer[] = []
    const conns: Connection[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      {
        open: (conn) => void conns.push(conn),
        data(conn, chunk) {
          texts.push(chunk.toString())
          chunks.push(chunk)
          conn.pause()
        },
      },
      { read: 'borrowed' },
      { trigger, poisonBorrowed: true },
    )
    const peer = await connectPeer(t, port)
    // The second connection waits for the first one's open, because I/O threads report in any order.
    await until(() => conns.length === 1)
    const other = await connectPeer(t, port)
    await until(() => conns.length === 2)
    for (const text of ['one', 'two', 'three']) peer.writeAndBlock(text, reactor)
    await until(() => texts.length === 1)
    // The memory of all batches is used again.
    for (let i = 0; i < 12; i++) {
      other.write('other')
      const before = texts.length
      await until(() => texts.length > before)
      conns[1]?.resume()
    }
    while (texts.filter((text) => text !== 'other').join('') !== 'onetwothree') {
      const before = texts.length
      conns[0]?.resume()
      await until(() => texts.length > before)
    }
    t.pass('all came, unharmed')
  })

  test(`a borrowed chunk may be written to a connection of another reactor (${trigger})`, async (t) => {
    const payload = seeded(77).bytes(8 * MIB)
    const targets: Connection[] = []
    const to = await serve<unknown>(
      t,
      { open: (conn) => void targets.push(conn) },
      { maxWriteQueue: 64 * MIB },
      { trigger },
    )
    const from = await serve<unknown>(
      t,
      { data: (_conn, chunk) => void targets[0]?.write(chunk), end: () => void targets[0]?.end() },
      { read: 'borrowed' },
      { trigger, poisonBorrowed: true },
    )
    const receiver = await connectPeer(t, to.port)
    const sender = await connectPeer(t, from.port)
    await until(() => targets.length === 1)
    receiver.socket.pause()
    sender.end(payload)
    await until(() => from.reactor.stats().bytesRead === payload.length)
    receiver.socket.resume()
    await receiver.untilEnded()
    t.equal(sha256(receiver.received), sha256(payload))
  })

  test(`owned chunks keep their bytes (${trigger})`, async (t) => {
    const payload = seeded(32).bytes(20 * MIB)
    const chunks: Buffer[] = []
    let ended = false
    const { port } = await serve<unknown>(
      t,
      {
        data: (_conn, chunk) => void chunks.push(chunk),
        end() {
          ended = true
        },
      },
      {},
      { trigger, poisonBorrowed: true },
    )
    const peer = await connectPeer(t, port)
    peer.end(payload)
    await until(() => ended)
    t.equal(sha256(Buffer.concat(chunks)), sha256(payload))
  })
}
