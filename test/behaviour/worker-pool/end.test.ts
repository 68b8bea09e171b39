import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, delimited, Reactor } from 'c1m'
import { t as tap, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeGate, makePool } from '../../fixtures/pool.js'
import { fence, serve, until } from '../../fixtures/reactor.js'

// Each test mostly waits for workers to start, and one for a deadline.
tap.jobs = 2

const lines = { framing: delimited('\n') }

test('the end that follows the peer’s FIN waits for the tasks of its requests', async (t) => {
  const pool = makePool(t, { size: 2 })
  const { port } = await serve<unknown>(
    t,
    {
      async data(conn, line) {
        // One after the other: between the two, nothing of it is under way.
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

test('a task that the `end` handler begins is waited for as well, and so is one that fails', async (t) => {
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

test('a shutdown drains tasks that are under way, and counts what it cuts', async (t) => {
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
  t.notOk(one.gone, 'its answer is to come')
  open()
  await one.untilEnded()
  t.equal(one.text, 'answer')
  one.end()
  t.strictSame(await shutdown, { drained: 1, cut: 1 })
})

test('two pools hold one connection back, each for itself', async (t) => {
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
  t.equal(chunks, 0, 'the other one holds it still')
  second.open()
  await tasks[1]
  await until(() => chunks === 1)
})

test('a refusal of an ordered task takes its place', async (t) => {
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
  // As long as a worker may take for those that could run already.
  await sleep(60)
  t.strictSame(log, [])
  open()
  await Promise.all([...all, closing])
  t.strictSame(log, [1, 2, 'ERR_C1M_TASK_QUEUE_FULL', 'aborted', 'ERR_C1M_POOL_CLOSED'])
})

test('a task of a connection that was destroyed, or closed while it was paused, does not run', async (t) => {
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
      // Its FIN is read together with what is held back, and ours ends it.
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
