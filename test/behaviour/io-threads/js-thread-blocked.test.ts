import { test } from 'tap'
import { startChild } from '../../fixtures/child.js'
import { patternAt } from '../../fixtures/pattern.js'
import { block, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const MIB = 1024 * 1024
const STREAMS = 50
const KNOCKS = 300
const DOWNLOAD = 12 * MIB
const BLOCK_MS = 1200

interface Life {
  /** Undefined until its first bytes have come. */
  kind: 'stream' | 'knock' | 'download' | undefined
  readonly port: number
  bytes: number
  text: string
}

function kindOf(chunk: Buffer): NonNullable<Life['kind']> {
  const head = chunk.toString('latin1', 0, 5)
  return head === 'knock' ? 'knock' : head === 'downl' ? 'download' : 'stream'
}

/** Blocks the JS thread for a min time, and until the condition is true: the machine may be busy. Returns the time. */
function blockUntil(condition: () => boolean): number {
  const startedAt = performance.now()
  const elapsed = () => performance.now() - startedAt
  while (elapsed() < BLOCK_MS || (!condition() && elapsed() < 10 * BLOCK_MS)) block(50)
  return Math.round(elapsed())
}

for (const trigger of TRIGGERS) {
  test(`a blocked JS thread: bounded memory, accepts and writes continue, no event is lost (${trigger})`, async (t) => {
    const lives: Life[] = []
    let corrupt = 0
    let closes = 0
    const { port, reactor } = await serve<Life>(
      t,
      {
        open(conn) {
          conn.data = { kind: undefined, port: conn.remotePort as number, bytes: 0, text: '' }
          lives.push(conn.data)
        },
        data(conn, chunk) {
          const life = conn.data
          life.kind ??= kindOf(chunk)
          if (life.kind !== 'stream') life.text += chunk.toString()
          else if (!chunk.equals(patternAt(life.bytes, chunk.length))) corrupt++
          life.bytes += chunk.length
          if (life.kind === 'download') conn.end(Buffer.alloc(DOWNLOAD))
        },
        close(_conn, error) {
          closes++
          if (error !== undefined) throw error
        },
      },
      {},
      { trigger },
    )
    const child = startChild(t, 'load', { args: [`${port}`] })
    child.tell(`stream ${STREAMS}`)
    await until(() => lives.filter((life) => life.bytes > MIB).length === STREAMS, 'load')
    child.tell('download')
    await until(() => lives.some((life) => life.kind === 'download'))
    const before = reactor.stats()
    const memory = process.memoryUsage.rss()
    child.tell(`knock ${KNOCKS}`)
    const took = blockUntil(() => {
      const { accepted, bytesWritten } = reactor.stats()
      return accepted === before.accepted + KNOCKS && bytesWritten === DOWNLOAD
    })
    const grown = process.memoryUsage.rss() - memory
    t.comment(`blocked for ${took} ms, memory grew by ${grown} bytes`)
    t.equal(reactor.stats().accepted - before.accepted, KNOCKS, 'accepts continued')
    t.equal(reactor.stats().bytesWritten, DOWNLOAD, 'writes continued')
    t.ok(grown < 24 * MIB, `memory grew by ${grown} bytes`)
    t.equal(lives.length, STREAMS + 1)

    const words = [await child.next(), await child.next()] as Record<string, number>[]
    t.match(words.find((word) => word.downloaded !== undefined)?.downloaded, DOWNLOAD)
    await until(() => lives.length === STREAMS + KNOCKS + 1, 'all opened')
    // The streams continue.
    const total = () => lives.reduce((sum, life) => sum + life.bytes, 0)
    const soFar = total()
    await until(() => total() > soFar + 10 * MIB, 'more data')

    child.tell('stop')
    const { sent } = await child.next<{ sent: Record<string, number> }>('the sums')
    await until(() => reactor.connections.size === 0)
    t.equal(corrupt, 0)
    t.equal(closes, lives.length)
    const streams = lives.filter((life) => life.kind === 'stream')
    t.strictSame(Object.fromEntries(streams.map((life) => [life.port, life.bytes])), sent)
    const knocks = lives.filter((life) => life.kind === 'knock').map((life) => life.text)
    t.strictSame(knocks.sort(), Array.from({ length: KNOCKS }, (_, i) => `knock ${i}`).sort())
  })
}
