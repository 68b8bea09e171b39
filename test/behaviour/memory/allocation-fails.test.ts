import { type Connection, delimited } from 'c1m'
import { type Test, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, until } from '../../fixtures/reactor.js'

/** Lets the next large allocations of Buffers fail. Returns a function that returns the number of failures so far. */
function failAllocations(t: Test, times: number): () => number {
  const original = Buffer.allocUnsafeSlow
  let failed = 0
  Buffer.allocUnsafeSlow = (size) => {
    if (size < 65_536 || failed >= times) return original(size)
    failed++
    throw new RangeError('Array buffer allocation failed')
  }
  t.teardown(() => {
    Buffer.allocUnsafeSlow = original
  })
  return () => failed
}

/** Collects uncaught exceptions, which then don't end the process. */
function uncaught(t: Test): Error[] {
  const errors: Error[] = []
  const note = (error: Error) => errors.push(error)
  process.on('uncaughtException', note)
  t.teardown(() => process.off('uncaughtException', note))
  return errors
}

for (const times of [1, 7]) {
  test(`when ${times} allocations fail, reading waits for memory, and loses no byte`, async (t) => {
    const reported = uncaught(t)
    let got = 0
    let opened = 0
    const { reactor, port } = await serve(t, {
      open: () => {
        opened++
      },
      data: (_conn, chunk) => {
        got += chunk.length
      },
    })
    const peer = await connectPeer(t, port)
    await until(() => opened === 1)
    const failed = failAllocations(t, times)
    const total = 4_000_000
    peer.write(Buffer.alloc(total))
    await until(() => got === total)
    t.equal(failed(), times)
    t.ok(reported.length >= 1 && reported.length <= times, 'failures are reported, and retries are not')
    t.ok(reported.every(({ message }) => message === 'Array buffer allocation failed'))
    await connectPeer(t, port)
    await until(() => opened === 2)
    // Batches must not go back and forth without events.
    const { turns } = reactor.stats()
    await new Promise((resolve) => setTimeout(resolve, 200))
    t.ok(reactor.stats().turns - turns < 100)
    await reactor.shutdown({ timeoutMs: 0 })
  })
}

test('a write without memory for its command throws, and the next one is sent', async (t) => {
  const conns: Connection<undefined>[] = []
  const open = (conn: Connection<undefined>) => {
    conns.push(conn)
  }
  const { reactor, port } = await serve(t, { open }, { maxWriteQueue: 2 ** 30 })
  const peer = await connectPeer(t, port)
  await until(() => conns.length === 1)
  const conn = conns[0] as Connection<undefined>
  const failed = failAllocations(t, 2)
  const line = Buffer.alloc(1000)
  let thrown = 0
  let sent = 0
  // Writes until another batch of commands is needed, and its allocation fails.
  while (failed() < 2) {
    try {
      conn.write(line)
      sent++
    } catch (error) {
      t.match(error, { message: 'Array buffer allocation failed' })
      thrown++
    }
  }
  t.equal(thrown, failed())
  conn.write(line)
  sent++
  await peer.untilBytes(sent * line.length)
  t.match(await conn.tcpInfo(), { state: String })
  await reactor.shutdown({ timeoutMs: 0 })
  t.equal(peer.length, sent * line.length)
})

test('a frame has memory of its own, whatever its size', async (t) => {
  const frames: Buffer[] = []
  const { port } = await serve(
    t,
    {
      data: (_conn, frame) => {
        frames.push(frame)
      },
    },
    { framing: delimited('\n', { maxFrameBytes: 2_000_000 }) },
  )
  const peer = await connectPeer(t, port)
  const large = Buffer.alloc(1_500_000, 'x')
  peer.write(Buffer.concat([large, Buffer.from('\n')]))
  await until(() => frames.length === 1)
  t.ok(frames[0]?.equals(large))
  // Memory of the addon could not be transferred.
  t.equal(structuredClone(frames[0]?.buffer, { transfer: [frames[0]?.buffer as ArrayBuffer] })?.byteLength, 1_500_000)
})
