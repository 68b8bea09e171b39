import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Connection, delimited, type Handlers, type ListenOptions, lengthPrefixed, Reactor, relay } from 'c1m'

/**
 * Runs a server under attack: one service for the hostile peers, and an echo for the honest ones. Replies to the lines
 * `facts` and `shutdown`.
 */
const service = process.argv[2] as string
const host = process.argv[3] ?? '127.0.0.1'
const reactor = new Reactor({ maxConnections: 20_000 })
let opened = 0
let closed = 0

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const count: Handlers = {
  open: () => void opened++,
  close: () => void closed++,
}
const echo: Handlers = {
  ...count,
  data(conn, chunk) {
    if (!conn.write(chunk)) conn.pause()
  },
  drain: (conn) => void conn.resume(),
}

const folder = mkdtempSync(join(tmpdir(), 'c1m-hostile-'))
const file = join(folder, 'file')

const services: Record<string, () => Promise<number>> = {
  echo: () => listen({}, echo),

  /** Replies to each byte with a KiB, whether the peer reads or not, up to the limit of the queue. */
  pipeline: () =>
    listen(
      { maxWriteQueue: 1 << 20, highWaterMark: 1 << 16, sendBufferBytes: 4096 },
      {
        ...count,
        data(conn, chunk) {
          for (let i = 0; i < chunk.length; i++) conn.write(KIB)
        },
      },
    ),

  frames: () => listen({ framing: lengthPrefixed({ bytes: 4, maxFrameBytes: 1 << 20 }) }, echo),
  lines: () => listen({ framing: delimited('\n', { maxFrameBytes: 4096 }) }, { ...count, data: () => {} }),

  /** Sends a file for each line, like a server of pipelined requests. */
  async files() {
    writeFileSync(file, Buffer.alloc(1 << 20, 7))
    return listen(
      { framing: delimited('\n'), maxWriteQueue: 1 << 20, highWaterMark: 1 << 16 },
      { ...count, data: (conn) => void conn.sendFile(file).catch(() => {}) },
    )
  },

  /** Sends each line to all others. */
  chat() {
    const room = reactor.createGroup()
    return listen(
      { framing: delimited('\n', { maxFrameBytes: 4096 }), maxWriteQueue: 1 << 20 },
      {
        ...count,
        open(conn) {
          opened++
          room.add(conn)
        },
        data: (conn, line) => void room.broadcast(line, { except: conn }).catch(() => {}),
      },
    )
  },

  /** Relays connections to the echo. */
  async relay() {
    const upstream = await listen({}, echo)
    return listen(
      { allowHalfOpen: true },
      {
        ...count,
        open(client) {
          opened++
          client.pause()
          void passOn(client, upstream)
        },
      },
    )
  },
}

const KIB = Buffer.alloc(1024, 'k')

async function passOn(client: Connection, port: number): Promise<void> {
  try {
    const upstream = await reactor.connect({ host, port })
    await relay(client, upstream)
  } catch (error) {
    client.destroy(error as Error)
  }
}

async function listen(options: Partial<ListenOptions>, handlers: Handlers): Promise<number> {
  const listener = await reactor.listen({ host, port: 0, noDelay: true, ...options } as ListenOptions, handlers)
  return listener.port as number
}

/** Returns true for a socket, which would be a leak. A reactor keeps some pipes for later relays. */
function isSocket(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')
  } catch {
    return false
  }
}

function facts() {
  collect()
  return {
    rss: process.memoryUsage().rss,
    descriptors: readdirSync('/proc/self/fd').filter(isSocket).length,
    connections: reactor.connections.size,
    opened,
    closed,
    queueBytes: reactor.stats().queueBytes,
  }
}

async function main(): Promise<void> {
  const honest = await listen({}, echo)
  const port = await (services[service] as () => Promise<number>)()
  console.log(JSON.stringify({ port, honest }))
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'facts') console.log(JSON.stringify(facts()))
    if (line === 'shutdown') break
  }
  console.log(JSON.stringify(await reactor.shutdown({ timeoutMs: 2000 })))
  rmSync(folder, { recursive: true })
  process.stdin.destroy()
}

void main()
