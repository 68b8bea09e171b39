import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, relay } from 'c1m'
import { type Test, t as tap, test } from 'tap'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

// Each test mostly waits for a time to pass.
tap.jobs = 4

/** More than the buffers of both kernels together. */
const BYTES = 24 * 2 ** 20
const TIMEOUT_MS = 1500
/** The number of reads, one every tenth of the timeout: too few for the sender's socket to take any bytes. */
const READS = 30

interface Slow {
  /** True if the machine was too busy for the reads to be meaningful. */
  readonly late: boolean
  length: number
}

/** Reads a few bytes at a time, for twice as long as the timeout. */
async function readSlowly(socket: Socket): Promise<Slow> {
  let late = false
  let length = 0
  for (let i = 0; i < READS && !socket.destroyed; i++) {
    const before = performance.now()
    const chunk = socket.read(Math.min(32 * 1024, Math.max(1, socket.readableLength))) as Buffer | null
    length += chunk?.length ?? 0
    await sleep(TIMEOUT_MS / 15)
    late ||= performance.now() - before > TIMEOUT_MS / 3
  }
  return { late, length }
}

function connectPaused(t: Pick<Test, 'teardown'>, to: { port: number } | { path: string }): Socket {
  const socket = 'path' in to ? connect(to) : connect({ host: '127.0.0.1', ...to })
  socket.on('error', () => {})
  // With this listener the socket reads ahead up to its high-water mark only.
  socket.on('readable', () => {})
  t.teardown(() => socket.destroy())
  return socket
}

/** Reads the rest, to the end. Resolves with its length. */
async function readAll(socket: Socket): Promise<number> {
  let length = 0
  socket.removeAllListeners('readable')
  socket.on('data', (chunk: Buffer) => {
    length += chunk.length
  })
  socket.resume()
  await until(() => socket.readableEnded || socket.destroyed, 'the end')
  return length
}

for (const kind of ['write', 'idle'] as const) {
  test(`the ${kind} timeout doesn't fire for a peer that reads slowly, before and after end()`, async (t) => {
    const log: string[] = []
    const { port } = await serve<unknown>(
      t,
      {
        open(conn) {
          conn.write(Buffer.alloc(BYTES))
          conn.end()
        },
        close: (_, error) => void log.push(String((error as { code?: string } | undefined)?.code)),
      },
      { [`${kind}TimeoutMs`]: TIMEOUT_MS, maxWriteQueue: 2 * BYTES },
    )
    const socket = connectPaused(t, { port })
    const slow = await readSlowly(socket)
    if (slow.late) return void t.pass('the machine is too slow for this test')
    t.strictSame(log, [])
    t.equal(slow.length + (await readAll(socket)), BYTES, 'all bytes')
    t.equal(socket.errored, null)
  })
}

test('a peer that stops reading gets a reset after the write timeout', async (t) => {
  const log: string[] = []
  const { port, reactor } = await serve<unknown>(
    t,
    {
      open(conn) {
        conn.write(Buffer.alloc(BYTES))
        conn.end()
      },
      timeout: () => void log.push('timeout'),
      close: (_, error) => void log.push(String((error as { code?: string } | undefined)?.code)),
    },
    { writeTimeoutMs: 300, maxWriteQueue: 2 * BYTES },
  )
  // The peer is not a net.Socket, because libuv may take a reset for an end after a partial read.
  const seen: string[] = []
  await reactor.connect(
    { host: '127.0.0.1', port },
    {
      open: (conn) => void conn.pause(),
      close: (_, error) => void seen.push(String((error as { code?: string } | undefined)?.code)),
    },
  )
  await until(() => log.length > 0 && seen.length > 0, 'the timeout, and the reset')
  t.strictSame(log, ['ERR_C1M_WRITE_TIMEOUT'])
  t.strictSame(seen, ['ECONNRESET'])
})

test('a relay with a slow reader is not idle, and one whose reader has stopped is', async (t) => {
  const reactor = makeReactor(t)
  const { a, b, peerA, peerB } = await connectPair(t, { reactor })
  const ended = relay(a as Connection, b as Connection, { idleTimeoutMs: TIMEOUT_MS })
  let over = false
  void ended.then(() => {
    over = true
  })
  peerB.socket.removeAllListeners('data')
  peerB.socket.pause()
  peerB.socket.on('readable', () => {})
  peerA.write(Buffer.alloc(BYTES))
  const slow = await readSlowly(peerB.socket)
  if (slow.late) return void t.pass('the machine is too slow for this test')
  t.equal(over, false)
  t.equal((await ended).reason, 'timeout')
})
