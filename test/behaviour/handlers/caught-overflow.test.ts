import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { type Connection, delimited, lengthPrefixed, relay, writeFrame } from 'c1m'
import { test } from 'tap'
import { blackhole } from '../../fixtures/blackhole.js'
import { packageRoot, SANITIZED } from '../../fixtures/built.js'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, makeReactor, type Served, serve, until } from '../../fixtures/reactor.js'

/** The number of calls while the stack unwinds from its end: the first have hardly any stack left, the last enough. */
const MAX_CALLS = SANITIZED ? 2000 : 4000
/** The number of calls that may succeed, because they might write gigabytes. */
const MAX_DONE = 100

/**
 * Calls `run` repeatedly near the end of the stack, and catches what it throws. Returns the number of calls that didn't
 * throw, which is at most `maxDone`.
 */
function nearTheLimit(run: () => unknown, maxDone = MAX_DONE): number {
  let calls = 0
  let done = 0
  const deeper = () => {
    try {
      deeper()
    } catch {
      // The stack has ended.
    }
    if (calls >= MAX_CALLS || done >= maxDone) return
    try {
      calls++
      const result = run()
      done++
      if (result instanceof Promise) result.catch(() => {})
    } catch {
      // The call had too little stack.
    }
  }
  deeper()
  return done
}

interface World extends Served<undefined> {
  readonly conn: Connection<undefined>
}

/** Operations after which a connection must still echo. */
const OPERATIONS: Record<string, { run(world: World): unknown; undo?(world: World): unknown }> = {
  tcpInfo: { run: ({ conn }) => conn.tcpInfo() },
  setOptions: { run: ({ conn }) => conn.setOptions({ noDelay: true }) },
  pause: { run: ({ conn }) => conn.pause(), undo: ({ conn }) => conn.resume() },
  resume: { run: ({ conn }) => conn.pause() && conn.resume(), undo: ({ conn }) => conn.pause() && conn.resume() },
  setTimeout: { run: ({ conn }) => conn.setTimeout(3_600_000) },
  setTimeouts: { run: ({ conn }) => conn.setTimeouts({ idleMs: 3_600_000, readMs: 3_600_000, totalMs: 3_600_000 }) },
  setFraming: { run: ({ conn }) => conn.setFraming(delimited('\n')), undo: ({ conn }) => conn.setFraming(undefined) },
  group: { run: ({ conn, reactor }) => reactor.createGroup().add(conn) },
  stats: { run: ({ reactor }) => reactor.stats() },
  listen: { run: ({ reactor }) => reactor.listen({ port: 0, host: '127.0.0.1' }, { data() {} }) },
  connect: { run: ({ reactor, port }) => reactor.connect({ port, host: '127.0.0.1' }, { data() {} }) },
  ref: { run: ({ reactor }) => reactor.unref().ref() },
}

for (const [framing, size, header] of [
  [lengthPrefixed(), 8, 4],
  [lengthPrefixed(), 20_000, 4],
  [delimited('\n'), 8, 1],
] as const) {
  test(`writeFrame() near the end of the stack writes a frame or nothing (${size} bytes and ${header})`, async (t) => {
    const conns: Connection<undefined>[] = []
    const { port } = await serve<undefined>(t, { open: (conn) => void conns.push(conn) })
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    const conn = conns[0] as Connection<undefined>
    const payload = Buffer.alloc(size, 'A')
    const done = nearTheLimit(() => writeFrame(conn, framing, payload))
    conn.end()
    await peer.untilEnded()
    t.equal(peer.length, done * (size + header))
  })
}

for (const [name, { run, undo }] of Object.entries(OPERATIONS)) {
  test(`${name} near the end of the stack either succeeds or has no effect`, async (t) => {
    const conns: Connection<undefined>[] = []
    const served = await serve(t, {
      open: (conn) => {
        conns.push(conn)
      },
      data: (conn, chunk) => {
        conn.write(chunk)
      },
    })
    const peer = await connectPeer(t, served.port)
    await until(() => conns.length === 1)
    const world = { ...served, conn: conns[0] as Connection<undefined> }
    t.ok(nearTheLimit(() => run(world)) > 0)
    undo?.(world)
    peer.write('alive')
    await until(() => peer.text === 'alive')
    const { drained, cut } = await served.reactor.shutdown({ timeoutMs: 0 })
    t.ok(drained + cut > 0)
  })
}

for (const [name, size] of Object.entries({
  'a small write': 100,
  'a pinned write': 20_000,
  'a large copy': 600_000,
})) {
  test(`${name} near the end of the stack is sent if it returned, and not if it threw`, async (t) => {
    const conns: Connection<undefined>[] = []
    const open = (conn: Connection<undefined>) => {
      conns.push(conn)
    }
    const { reactor, port } = await serve(t, { open }, { maxWriteQueue: 2 ** 30 })
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    // A resizable buffer is copied.
    const memory: ArrayBuffer = Reflect.construct(ArrayBuffer, [
      size,
      size > 500_000 ? { maxByteLength: size } : undefined,
    ])
    const calls = nearTheLimit(() => conns[0]?.write(new Uint8Array(memory)))
    t.ok(calls > 0)
    conns[0]?.end()
    await peer.untilEnded()
    t.equal(peer.length, calls * size)
    await reactor.shutdown({ timeoutMs: 0 })
  })
}

for (const name of ['end', 'destroy', 'reset'] as const) {
  test(`${name} near the end of the stack can be called again if it threw`, async (t) => {
    const conns: Connection<undefined>[] = []
    let closed = 0
    const { reactor, port } = await serve(t, {
      open: (conn) => {
        conns.push(conn)
      },
      close: () => {
        closed++
      },
    })
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    const conn = conns[0] as Connection<undefined>
    let first = 0
    nearTheLimit(() => {
      if (conn[name]()) first++
    })
    t.equal(first, 1, 'one of the calls has succeeded')
    await peer.untilEnded()
    peer.end()
    await until(() => closed === 1)
    await reactor.shutdown({ timeoutMs: 0 })
  })
}

test('shutdown() near the end of the stack can be called again if it rejected', async (t) => {
  const { reactor, listener } = await serve(t, {})
  // The shutdown cancels this attempt by a request to the I/O thread.
  const port = await blackhole(t)
  const given = t.rejects(reactor.connect({ host: '127.0.0.1', port }), { code: 'ERR_C1M_REACTOR_CLOSED' })
  await fence(reactor)
  nearTheLimit(() => reactor.shutdown({ timeoutMs: 0 }), MAX_CALLS)
  await reactor.shutdown({ timeoutMs: 0 })
  await given
  t.equal(listener.closed, true)
})

test('adopt() near the end of the stack takes the socket over, or leaves it as it was', async (t) => {
  const reactor = makeReactor(t)
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const address = server.address() as { port: number }
  const [[socket], peer] = await Promise.all([
    once(server, 'connection') as Promise<[Socket]>,
    connectPeer(t, address.port),
  ])
  nearTheLimit(() => reactor.adopt(socket, { data: (conn, chunk) => void conn.write(chunk) }), MAX_CALLS)
  await until(() => reactor.stats().adopted === 1, 'one of the calls')
  peer.write('alive')
  await until(() => peer.text === 'alive')
})

for (const [groups, what] of [
  [1, 'a group'],
  [100, 'one of very many groups'],
] as const) {
  test(`joining and leaving ${what} near the end of the stack either succeeds or has no effect`, async (t) => {
    const conns: Connection[] = []
    const { reactor, port } = await serve(t, { open: (conn) => void conns.push(conn) })
    await connectPeer(t, port)
    await until(() => conns.length === 1)
    const conn = conns[0] as Connection
    const all = Array.from({ length: groups }, () => reactor.createGroup())
    for (const group of all.slice(1)) group.add(conn)
    const [group] = all as [(typeof all)[0]]
    for (const name of ['add', 'delete'] as const) {
      let done = 0
      nearTheLimit(() => {
        if (group.has(conn) === (name === 'add')) return
        group[name](conn)
        done++
      }, MAX_CALLS)
      t.equal(done, 1, `${name} has succeeded once`)
      t.equal(group.size, name === 'add' ? 1 : 0)
    }
    t.ok(all.every((one) => one.size === (one === group ? 0 : 1)))
  })
}

test('an attempt to connect that was rejected near the end of the stack keeps no process alive', async (t) => {
  const c1m = JSON.stringify(packageRoot)
  const program = `
    const { Reactor } = require(${c1m})
    const server = new Reactor()
    server.listen({ host: '127.0.0.1', port: 0 }).then(async ({ port }) => {
      const reactor = new Reactor()
      const attempts = []
      let calls = 0
      const deeper = () => {
        try { deeper() } catch {}
        if (calls++ >= ${MAX_CALLS}) return
        try { attempts.push(reactor.connect({ host: '127.0.0.1', port }, { data() {} })) } catch {}
      }
      deeper()
      const settled = await Promise.allSettled(attempts)
      for (const { value } of settled) value?.destroy()
      await server.shutdown({ timeoutMs: 0 })
      console.log(settled.some(({ status }) => status === 'rejected'))
    })`
  const run = promisify(execFile)
  const { stdout } = await run(process.execPath, ['-e', program], {
    env: { ...process.env, NODE_OPTIONS: '' },
    timeout: 60_000,
    killSignal: 'SIGKILL',
  })
  t.equal(stdout.trim(), 'true')
})

test('relay() near the end of the stack starts, or leaves both connections as they were', async (t) => {
  const conns: Connection[] = []
  const { port } = await serve(t, { open: (conn) => void conns.push(conn) }, { allowHalfOpen: true })
  const one = await connectPeer(t, port)
  await until(() => conns.length === 1)
  const other = await connectPeer(t, port)
  await until(() => conns.length === 2)
  const [a, b] = conns as [Connection, Connection]
  nearTheLimit(() => relay(a, b), MAX_CALLS)
  one.write('hello')
  await until(() => other.text === 'hello')
  other.write('and back')
  await until(() => one.text === 'and back')
})
