import { closeSync, mkdtempSync, openSync, writeFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { type Connection, delimited, type Handlers, Reactor, relay, WorkerPool } from 'c1m'
import { move, threadAt, threadOf } from '../fixtures/move.js'
import { TASKS } from '../fixtures/pool.js'
import { noticed, throwing, until } from './points.js'

/** Steps of traffic that uses all features. */

export const folder = mkdtempSync(join(tmpdir(), 'c1m-walk-'))
const file = join(folder, 'file')
writeFileSync(file, Buffer.alloc(50_000, 'f'))

export const HOST = '127.0.0.1'

/** Returns handlers that echo, and record the errors of `close`. */
export function echo(of: string): Handlers<unknown> {
  return throwing(of, {
    data(conn, chunk) {
      if (!conn.write(chunk)) conn.pause()
    },
    drain(conn) {
      conn.resume()
    },
    timeout(conn) {
      conn.destroy()
    },
    close(_conn, error) {
      if (error !== undefined) noticed.push(`close ${error.message}`)
    },
  })
}

/** Sends bytes, and waits for their echo, or for the end of the connection. */
export async function echoed(
  reactor: Reactor,
  port: number,
  options: object,
  bytes: Buffer,
): Promise<Connection<unknown>> {
  let got = 0
  let over = false
  const conn = await reactor.connect<unknown>(
    { host: HOST, port, ...options },
    throwing('client', {
      data: (_conn, chunk) => {
        got += chunk.length
      },
      close: (_conn, error) => {
        over = true
        if (error !== undefined) noticed.push(`close ${error.message}`)
      },
    }),
  )
  conn.write(bytes)
  await until('an echo', () => got >= bytes.length || over)
  return conn
}

/** Opens a connection whose peer reads nothing yet. */
async function stuck(reactor: Reactor, options: object = {}) {
  let opened: Connection<unknown> | undefined
  let over = false
  const listener = await reactor.listen<unknown>(
    { host: HOST, port: 0, sendBufferBytes: 10_000, ...options },
    throwing('stuck', {
      open: (conn) => {
        opened = conn
      },
      close: (_conn, error) => {
        over = true
        if (error !== undefined) noticed.push(`close ${error.message}`)
      },
    }),
  )
  const socket = connectSocket(listener.port as number, HOST)
  socket.pause()
  socket.on('error', () => {})
  socket.on('close', () => {
    over = true
  })
  let got = 0
  socket.on('data', (bytes) => {
    got += bytes.length
  })
  socket.pause()
  await until('a connection', () => opened !== undefined || over)
  return {
    conn: opened as Connection<unknown>,
    socket,
    /** Reads `count` bytes, or all until the end. */
    async drain(count: number) {
      socket.resume()
      await until('the queued bytes', () => got >= count || over)
      socket.destroy()
      await listener.close()
    },
  }
}

const LARGE = Buffer.alloc(100_000, 'l')
const ROUNDS = 20
/** Queues bytes, some of which are pinned, and some copied. */
function fill(conn: Connection<unknown>): number {
  for (let i = 0; i < ROUNDS; i++) {
    conn.write(Buffer.from(LARGE))
    conn.write('a small one')
  }
  return ROUNDS * (LARGE.length + 11)
}

type Step = (reactor: Reactor, port: number) => unknown

export const STEPS: Readonly<Record<string, Step>> = {
  async echo(reactor, port) {
    const conn = await echoed(reactor, port, {}, Buffer.alloc(100_000))
    await conn.tcpInfo()
    await conn.setOptions({ noDelay: true, congestion: 'cubic' })
    conn.write('text')
    conn.end()
  },
  async frames(reactor) {
    const listener = await reactor.listen<unknown>(
      { host: HOST, port: 0, framing: delimited('\n', { maxFrameBytes: 200_000 }) },
      throwing('framed', {
        data(conn, frame) {
          conn.write(frame)
          conn.setFraming(undefined)
        },
        close(_conn, error) {
          if (error !== undefined) noticed.push(`close ${error.message}`)
        },
      }),
    )
    const socket = connectSocket(listener.port as number, HOST)
    socket.on('error', () => {})
    let got = 0
    let over = false
    socket.on('data', (bytes) => {
      got += bytes.length
    })
    socket.on('close', () => {
      over = true
    })
    socket.write(`${'x'.repeat(100_000)}\nrest`)
    await until('a frame', () => got >= 100_000 || over || noticed.length > 0)
    // After any failure the connection is still read, or has closed.
    socket.end()
    await until('its end', () => over)
    await listener.close()
  },
  async files(reactor, port) {
    const conn = await reactor.connect<unknown>({ host: HOST, port }, throwing('files', { data() {} }))
    await conn.sendFile(file, { start: 10 })
    const fd = openSync(file, 'r')
    await conn.sendFile(fd).finally(() => closeSync(fd))
    conn.destroy()
  },
  async groups(reactor, port) {
    const group = reactor.createGroup()
    const all = await Promise.all([1, 2, 3].map(() => reactor.connect({ host: HOST, port }, { data() {} })))
    for (const conn of all) group.add(conn)
    await Promise.all([group.broadcast('small'), group.broadcast('joined')])
    await group.broadcast(Buffer.alloc(20_000))
    await reactor.rebalance()
    for (const conn of all) conn.destroy()
  },
  async relays(reactor, port) {
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => reactor.connect({ host: HOST, port }, {})))
    if (a === undefined || b === undefined || c === undefined) return
    a.write('round')
    const over = relay(a, b)
    await sleep(2)
    a.destroy()
    await over
    c.destroy()
  },
  async handover(reactor, port) {
    const conn = await reactor.connect({ host: HOST, port }, { data() {} })
    const socket = await conn.detach()
    socket.on('error', () => {})
    try {
      const again = await reactor.adopt(socket, throwing('adopted', { data() {} }), {
        head: Buffer.from('read before'),
      })
      again.destroy()
    } finally {
      socket.destroy()
    }
  },
  async timeouts(reactor, port) {
    let over = false
    const close = () => {
      over = true
    }
    const conn = await reactor.connect(
      { host: HOST, port, idleTimeoutMs: 1 },
      throwing('timed', {
        timeout: (c) => {
          c.destroy()
        },
        close,
      }),
    )
    await until('a timeout', () => over)
    conn.destroy()
  },
  async unix(reactor) {
    const path = join(folder, 'socket')
    const listener = await reactor.listen({ path }, { data() {} })
    const conn = await reactor.connect({ path }, {})
    conn.reset()
    await listener.close()
  },
  async refused(reactor) {
    await reactor.connect({ host: HOST, port: 1 }, {}).catch(() => {})
    const attempt = new AbortController()
    const given = reactor.connect({ host: '127.0.0.2', port: 1, localAddress: HOST, signal: attempt.signal }, {})
    attempt.abort()
    await given.catch(() => {})
  },
  async workers(reactor, port) {
    const pool = new WorkerPool({ filename: TASKS, size: 1 })
    try {
      const conn = await reactor.connect({ host: HOST, port }, { data() {} })
      await pool.run({ kind: 'answer', value: 'written by a worker' }, { connection: conn })
      await pool.run({ kind: 'answer', value: 'x'.repeat(20_000) }, { connection: conn })
      conn.destroy()
    } finally {
      await pool.close({ force: true })
    }
  },
  async queues(reactor) {
    const { conn, drain } = await stuck(reactor)
    await drain(fill(conn))
  },
  /** Moves a connection with queued bytes of its own, of a broadcast and of a file, in both directions. */
  async moves(reactor) {
    const { conn, socket, drain } = await stuck(reactor, { framing: delimited('\n') })
    const group = reactor.createGroup()
    group.add(conn)
    socket.write('a part of a frame')
    const filled = fill(conn)
    await group.broadcast(LARGE)
    const from = threadOf(conn).index
    const moving = move(conn, threadAt(reactor, 1 - from))
    conn.write(LARGE)
    conn.write('said on its way')
    const told = group.broadcast('to all')
    await Promise.all([moving, told])
    await drain(filled + 2 * LARGE.length + 21)
    conn.destroy()
  },
  async leaving(reactor) {
    const { conn, drain } = await stuck(reactor)
    const filled = fill(conn)
    try {
      ;(await conn.detach()).on('error', () => {}).end()
    } finally {
      await drain(filled)
    }
  },
  async tables() {
    const reactor = new Reactor({ maxConnections: 10, ioThreads: { count: 1, ownFileTable: true } })
    try {
      const listener = await reactor.listen({ host: HOST, port: 0 }, { data() {} })
      const conn = await reactor.connect({ host: HOST, port: listener.port as number }, {})
      conn.destroy()
    } finally {
      await reactor.shutdown({ timeoutMs: 0 })
    }
  },
  /** Loads the addon again. */
  async worker() {
    const code = `const { Reactor } = require(${JSON.stringify(require.resolve('c1m'))})
      const reactor = new Reactor({ maxConnections: 10 })
      reactor.listen({ host: '${HOST}', port: 0 }, { data() {} }).then(() => reactor.shutdown({ timeoutMs: 0 }))`
    const worker = new Worker(code, { eval: true })
    worker.on('error', (error) => noticed.push(`worker ${error.message}`))
    await new Promise((resolve) => worker.once('exit', resolve))
  },
  async watch(reactor) {
    const fd = openSync('/dev/null', 'r')
    try {
      reactor.watch(fd, { readable: true }, () => {}).unwatch()
    } catch {
      // A regular file can't be watched.
    } finally {
      closeSync(fd)
    }
  },
}
