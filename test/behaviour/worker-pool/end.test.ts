import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, delimited, Reactor } from 'c1m'
import { t as tap, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeGate, makePool } from '../../fixtures/pool.js'
import { fence, serve, until } from '../../fixtures/reactor.js'

// Each test mostly waits for workers to start, and one for a deadline.
tap.jobs = 2

const lines = { framing: delimited('\n') }

test('the FIN that replies to the peer’s FIN waits for the connection’s tasks', async (t) => {
  const pool = makePool(t, { size: 2 })
  const { port } = await serve<unknown>(
    t,
    {
      async data(conn, line) {
        // Between the two tasks, none of the connection is in progress.
        const first = await pool.run({ kind: 'sleep', value: 5 }, { connection: conn })
        const second = await pool.run(
          { kind: 'same', value: `${line}:${first}\n` },
          { connection: conn, ordered: true },
        )
        conn.write(second as string)
      },
    },
    lines,
  )
  for (let round = 0; round < 5; round++) {
    const peers = await Promise.all(Array.from({ length: 10 }, () => connectPeer(t, port)))
    for (const peer of peers) peer.end('a\nb\nc\n')
    await Promise.all(peers.map((peer) => peer.untilEnded()))
    for (const peer of peers) t.strictSame(peer.text.split('\n').sort(), ['', 'a:5', 'b:5', 'c:5'])
  }
})

test('the FIN also waits for tasks that the `end` handler starts, and for failing ones', async (t) => {
  const pool = makePool(t)
  const { port } = await serve<unknown>(t, {
    async end(conn) {
      await pool.run({ kind: 'throw' }, { connection: conn }).catch(() => {})
      conn.write((await pool.run({ kind: 'same', value: 'last' }, { connection: conn })) as string)
    },
  })
  const peer = await connectPeer(t, port)
  peer.end()
  await peer.untilEnded()
  t.equal(peer.text, 'last')
})

test('a shutdown waits for tasks in progress, and counts the connections that it cuts', async (t) => {
  const pool = makePool(t, { size: 2 })
  const { gate, open } = makeGate()
  const reactor = new Reactor({ maxConnections: 100 })
  const { port } = await serve<unknown>(
    t,
    {
      async data(conn, line) {
        if (`${line}` === 'never')
          await pool.run({ kind: 'sleep', value: 60_000 }, { connection: conn }).catch(() => {})
        else conn.write((await pool.run({ kind: 'gate', gate, value: 'answer' }, { connection: conn })) as string)
      },
    },
    lines,
    reactor,
  )
  const [one, two] = [await connectPeer(t, port), await connectPeer(t, port)]
  one.write('now\n')
  two.write('never\n')
  await until(() => pool.stats().running === 2)
  const shutdown = reactor.shutdown({ timeoutMs: 3000 })
  await fence(reactor)
  t.notOk(one.gone, 'its reply is pending')
  open()
  await one.untilEnded()
  t.equal(one.text, 'answer')
  one.end()
  t.strictSame(await shutdown, { drained: 1, cut: 1 })
})

test('each of two pools throttles a connection for its own tasks', async (t) => {
  const [a, b] = [makePool(t, { maxTasksPerConnection: 1 }), makePool(t, { maxTasksPerConnection: 1 })]
  const [first, second] = [makeGate(), makeGate()]
  const conns: Connection[] = []
  let chunks = 0
  const { port, reactor } = await serve<unknown>(t, {
    open: (conn) => void conns.push(conn),
    data: () => void chunks++,
  })
  const peer = await connectPeer(t, port)
  await until(() => conns.length === 1)
  const [conn] = conns
  const tasks = [
    a.run({ kind: 'gate', gate: first.gate }, { connection: conn }),
    b.run({ kind: 'gate', gate: second.gate }, { connection: conn }),
  ]
  peer.write('x')
  first.open()
  await tasks[0]
  t.equal(a.stats().heldConnections, 0)
  await fence(reactor)
  t.equal(chunks, 0, 'still throttled by the other pool')
  second.open()
  await tasks[1]
  await until(() => chunks === 1)
})

test('the rejection of an ordered task comes in its order', async (t) => {
  const pool = makePool(t, { maxQueue: 1 })
  const { gate, open } = makeGate()
  const conns: Connection[] = []
  const { port } = await serve<unknown>(t, { open: (conn) => void conns.push(conn) })
  await connectPeer(t, port)
  await until(() => conns.length === 1)
  const [connection] = conns
  const log: unknown[] = []
  const note = (task: Promise<unknown>) =>
    task.then(
      (value) => log.push(value),
      (error) => log.push(error.code ?? error.message),
    )
  const controller = new AbortController()
  controller.abort(new Error('aborted'))
  const all = [
    note(pool.run({ kind: 'gate', gate, value: 1 }, { connection, ordered: true })),
    note(pool.run({ kind: 'same', value: 2 }, { connection, ordered: true })),
    note(pool.run({ kind: 'same', value: 3 }, { connection, ordered: true })),
    note(pool.run({ kind: 'same', value: 4 }, { connection, ordered: true, signal: controller.signal })),
  ]
  const closing = pool.close()
  all.push(note(pool.run({ kind: 'same', value: 5 }, { connection, ordered: true })))
  // Enough time for a worker to run the tasks that could run already.
  await sleep(60)
  t.strictSame(log, [])
  open()
  await Promise.all([...all, closing])
  t.strictSame(log, [1, 2, 'ERR_C1M_TASK_QUEUE_FULL', 'aborted', 'ERR_C1M_POOL_CLOSED'])
})

test('tasks of a connection that was destroyed, or closed in a pause, do not run', async (t) => {
  const pool = makePool(t)
  const conns: Connection[] = []
  const { port } = await serve<unknown>(
    t,
    { open: (conn) => void conns.push(conn), data: (conn) => void conn.pause() },
    lines,
  )
  for (const how of ['destroyed', 'paused'] as const) {
    conns.length = 0
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    const [connection] = conns as [Connection]
    const { gate, open } = makeGate()
    const running = pool.run({ kind: 'gate', gate })
    const tasks = [false, true].map((ordered) => pool.run({ kind: 'connected' }, { connection, ordered }))
    const results = Promise.allSettled(tasks)
    if (how === 'destroyed') {
      connection.destroy()
    } else {
      // The peer's FIN is read together with the buffered frames, and the own end closes the connection.
      peer.write('one\ntwo\n')
      await peer.endAndBlock(100)
      await until(() => connection.paused)
      connection.end()
      await until(() => connection.closed)
    }
    open()
    await running
    for (const result of await results) {
      t.match(result, { status: 'rejected', reason: { code: 'ERR_C1M_CONNECTION_CLOSED' } }, how)
    }
    connection.resume()
  }
  t.match(pool.stats(), { queued: 0, running: 0, cancelled: 4, completed: 2 })
})
