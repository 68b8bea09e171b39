import { type Connection, delimited } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeGate, makePool } from '../../fixtures/pool.js'
import { fence, serve, until } from '../../fixtures/reactor.js'

test('a close cancels the connection’s queued tasks, and no others', async (t) => {
  const pool = makePool(t)
  const conns: Connection[] = []
  const { port } = await serve<unknown>(t, { open: (conn) => void conns.push(conn) })
  const [one, two] = [await connectPeer(t, port), await connectPeer(t, port)]
  await until(() => conns.length === 2)
  // The connections are found by port, because I/O threads report in any order.
  const [a, b] = [one, two].map((peer) => conns.find(({ remotePort }) => remotePort === peer.port) as Connection)
  const { gate, open } = makeGate()
  const running = pool.run({ kind: 'gate', gate, value: 'ran' }, { connection: a })
  const waiting = [1, 2, 3].map((value) => pool.run({ kind: 'same', value }, { connection: a }))
  const other = pool.run({ kind: 'same', value: 'other' }, { connection: b })
  one.socket.resetAndDestroy()
  for (const task of waiting) await t.rejects(task, { code: 'ERR_C1M_CONNECTION_CLOSED' })
  t.match(pool.stats(), { queued: 1, running: 1, cancelled: 3 })
  await t.rejects(pool.run({ kind: 'same' }, { connection: a }), { code: 'ERR_C1M_CONNECTION_CLOSED' })
  open()
  t.equal(await running, 'ran')
  t.equal(await other, 'other')
  two.end()
})

test('ordered tasks resolve in order, also around one that fails', async (t) => {
  const pool = makePool(t, { size: 4 })
  const answers: unknown[] = []
  const { port } = await serve<unknown>(t, {
    async data(conn, chunk) {
      const tasks = chunk.toString().split(',').map(Number)
      for (const value of tasks) {
        const kind = value === 13 ? 'throw' : 'sleep'
        pool.run({ kind, value }, { connection: conn, ordered: true }).then(
          (answer) => answers.push(answer),
          (error: Error) => answers.push(error.message),
        )
      }
    },
  })
  const peer = await connectPeer(t, port)
  peer.write('80,1,13,40,0')
  await until(() => answers.length === 5)
  t.strictSame(answers, [80, 1, '13', 40, 0])
})

test('a connection with maxTasksPerConnection tasks is not read until half of them are done', async (t) => {
  const pool = makePool(t, { maxTasksPerConnection: 4 })
  const { gate, open } = makeGate()
  let submitted = 0
  let done = 0
  const { port, reactor } = await serve<unknown>(t, {
    data(conn, chunk) {
      for (const _ of chunk) {
        submitted++
        void pool.run({ kind: 'gate', gate }, { connection: conn }).then(() => done++)
      }
    },
  })
  const peer = await connectPeer(t, port)
  for (let i = 0; i < 40; i++) {
    await peer.flush('x')
    await fence(reactor)
  }
  await until(() => pool.stats().heldConnections === 1)
  const before = submitted
  await fence(reactor)
  t.equal(submitted, before, 'nothing is read')
  t.ok(before >= 4 && before < 40, `${before} tasks`)
  open()
  await until(() => done === 40)
  t.match(pool.stats(), { heldConnections: 0, completed: 40 })
})

test('a queue that fills up throttles the connections that fill it', async (t) => {
  const pool = makePool(t, { maxQueue: 20 })
  const { gate, open } = makeGate()
  let done = 0
  const refused: unknown[] = []
  const { port, reactor } = await serve<unknown>(
    t,
    {
      // With a framing, each frame is an event: a throttled connection gets no more, whatever has been read.
      data(conn) {
        pool.run({ kind: 'gate', gate }, { connection: conn }).then(
          () => done++,
          (error: unknown) => refused.push(error),
        )
      },
    },
    { framing: delimited('\n', { maxFrameBytes: 100 }) },
  )
  const peers = [await connectPeer(t, port), await connectPeer(t, port)]
  for (const peer of peers) peer.write('x\n'.repeat(40))
  await until(() => pool.stats().heldConnections === 2)
  await fence(reactor)
  const { queued } = pool.stats()
  t.ok(queued >= 15 && queued <= 20, `${queued} tasks wait`)
  open()
  await until(() => done === 80)
  t.strictSame(refused, [], 'none was refused')
  t.match(pool.stats(), { heldConnections: 0 })
})

test('a connection throttled by a full queue is read again when the queue has room', async (t) => {
  const pool = makePool(t, { maxQueue: 8 })
  const { gate, open } = makeGate()
  const conns: Connection[] = []
  let chunks = 0
  const { port, reactor } = await serve<unknown>(t, {
    open: (conn) => void conns.push(conn),
    data: () => void chunks++,
  })
  const peer = await connectPeer(t, port)
  await until(() => conns.length === 1)
  const others = Array.from({ length: 7 }, () => pool.run({ kind: 'gate', gate }))
  const controller = new AbortController()
  const task = pool.run({ kind: 'same' }, { connection: conns[0], signal: controller.signal })
  t.equal(pool.stats().heldConnections, 1)
  controller.abort()
  await t.rejects(task, { name: 'AbortError' })
  t.equal(pool.stats().heldConnections, 1, 'the queue is still full')
  peer.write('x')
  await fence(reactor)
  t.equal(chunks, 0)
  open()
  await Promise.all(others)
  await until(() => chunks === 1)
  t.equal(pool.stats().heldConnections, 0)
})

test('a connection whose task was refused is not read until the queue has room', async (t) => {
  const pool = makePool(t, { size: 1, maxQueue: 4 })
  const { gate, open } = makeGate()
  const calls = new Map<number, number>()
  const refused: unknown[] = []
  let done = 0
  const { port, reactor } = await serve<unknown>(
    t,
    {
      data(conn) {
        calls.set(conn.id, (calls.get(conn.id) ?? 0) + 1)
        pool.run({ kind: 'gate', gate }, { connection: conn }).then(
          () => done++,
          (error: { code?: string }) => refused.push(error.code),
        )
      },
    },
    { framing: delimited('\n', { maxFrameBytes: 100 }) },
  )
  const others = Array.from({ length: 5 }, () => pool.run({ kind: 'gate', gate }))
  const peers = await Promise.all(Array.from({ length: 6 }, () => connectPeer(t, port)))
  for (const peer of peers) peer.write('x\n')
  await until(() => refused.length === 6)
  for (const peer of peers) peer.write('x\n'.repeat(50))
  await fence(reactor)
  t.strictSame([...calls.values()], Array(6).fill(1))
  t.match(pool.stats(), { queued: 4, heldConnections: 6 })
  open()
  await Promise.all(others)
  await until(() => done + refused.length === 6 * 51)
  t.strictSame(new Set(refused), new Set(['ERR_C1M_TASK_QUEUE_FULL']))
  await until(() => pool.stats().heldConnections === 0)
})

test('pause() applies in addition to the pool’s throttling', async (t) => {
  const pool = makePool(t, { maxTasksPerConnection: 1 })
  const { gate, open } = makeGate()
  const conns: Connection[] = []
  let chunks = 0
  const { port, reactor } = await serve<unknown>(t, {
    open: (conn) => void conns.push(conn),
    data: () => void chunks++,
  })
  const peer = await connectPeer(t, port)
  await until(() => conns.length === 1)
  const [conn] = conns as [Connection]
  const task = pool.run({ kind: 'gate', gate }, { connection: conn })
  t.equal(pool.stats().heldConnections, 1)
  t.equal(conn.paused, false)
  conn.pause()
  t.equal(conn.resume(), true, 'resumed, but still throttled by the pool')
  peer.write('x')
  await fence(reactor)
  t.equal(chunks, 0)
  conn.pause()
  open()
  await task
  await fence(reactor)
  t.equal(chunks, 0, 'paused by the handlers')
  conn.resume()
  await until(() => chunks === 1)
})

test('a task can write to its connection', async (t) => {
  const pool = makePool(t, { size: 2 })
  const answers: unknown[] = []
  const { port } = await serve<unknown>(t, {
    async data(conn, chunk) {
      answers.push(await pool.run({ kind: 'answer', value: `answer to ${chunk}` }, { connection: conn }))
    },
  })
  const peer = await connectPeer(t, port)
  peer.write('one')
  await peer.untilBytes('answer to one'.length)
  t.equal(peer.text, 'answer to one')
  await until(() => answers.length === 1)
  t.strictSame(answers, [true])
})

test('a write of a task beyond maxWriteQueue closes its connection', async (t) => {
  const pool = makePool(t)
  const conns: Connection[] = []
  const errors: unknown[] = []
  const { port, reactor } = await serve<unknown>(
    t,
    { open: (conn) => void conns.push(conn), close: (_conn, error) => void errors.push(error?.code) },
    { maxWriteQueue: 65_536, sendBufferBytes: 8192 },
  )
  const peer = await connectPeer(t, port)
  await until(() => conns.length === 1)
  const { gate, open } = makeGate()
  const held = pool.run({ kind: 'gate', gate })
  const large = pool.run({ kind: 'answer', value: 'x'.repeat(4_000_000) }, { connection: conns[0] })
  open()
  await held
  t.equal(await large, true)
  await until(() => errors.length === 1)
  t.strictSame(errors, ['ERR_C1M_WRITE_QUEUE_FULL'])
  await until(() => peer.gone)
  t.equal(reactor.connections.size, 0)
})

test('a connection throttled by two pools is read when neither throttles it', async (t) => {
  const pools = [1, 2].map(() => makePool(t, { maxTasksPerConnection: 1 }))
  const gates = pools.map(() => makeGate())
  let conn: Connection | undefined
  let chunks = 0
  const { port, reactor } = await serve<unknown>(t, {
    open(opened) {
      conn = opened
    },
    data: () => void chunks++,
  })
  const peer = await connectPeer(t, port)
  await until(() => conn !== undefined)
  const tasks = pools.map((pool, i) => pool.run({ kind: 'gate', gate: gates[i]?.gate }, { connection: conn }))
  for (const pool of pools) t.equal(pool.stats().heldConnections, 1)
  gates[0]?.open()
  await tasks[0]
  t.equal(pools[0]?.stats().heldConnections, 0)
  await peer.flush('x')
  await fence(reactor)
  t.equal(chunks, 0, 'still throttled by the second pool')
  gates[1]?.open()
  await tasks[1]
  await until(() => chunks === 1)
})
