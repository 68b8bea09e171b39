import { pathToFileURL } from 'node:url'
import { threadId } from 'node:worker_threads'
import { WorkerPool, type WorkerPoolOptions } from 'c1m'
import { test } from 'tap'
import { makeGate, makePool, TASKS } from '../../fixtures/pool.js'
import { until } from '../../fixtures/reactor.js'

test('tasks run on other threads, and resolve with their results', async (t) => {
  const pool = makePool(t, { size: 2 })
  t.equal(pool.size, 2)
  t.strictSame(await pool.run({ kind: 'same', value: { list: [1, 'two'] } }), { list: [1, 'two'] })
  t.not(await pool.run({ kind: 'thread' }), threadId)
  const results = await Promise.all(Array.from({ length: 100 }, (_, value) => pool.run({ kind: 'same', value })))
  t.strictSame(
    results,
    Array.from({ length: 100 }, (_, value) => value),
  )
  await t.rejects(pool.run({ kind: 'throw', value: 'no' }), { name: 'RangeError', message: 'no' })
  t.match(pool.stats(), { queued: 0, running: 0, completed: 102, failed: 1, cancelled: 0, heldConnections: 0 })
  const { waitMs, runMs } = pool.stats()
  t.ok(runMs.p50 > 0 && runMs.p50 <= runMs.p90 && runMs.p90 <= runMs.p99 && runMs.p99 <= runMs.max)
  t.ok(waitMs.p50 <= waitMs.max)
})

test('the module may be a file: URL, and the transfer list is moved', async (t) => {
  const pool = makePool(t, { filename: pathToFileURL(TASKS) })
  const bytes = new Uint8Array(1000)
  t.equal(await pool.run({ kind: 'length', value: bytes }, { transfer: [bytes.buffer] }), 1000)
  t.equal(bytes.length, 0)
})

test('tasks beyond maxQueue are refused, and a signal cancels a queued one', async (t) => {
  const pool = makePool(t, { maxQueue: 3 })
  const { gate, open } = makeGate()
  const running = pool.run({ kind: 'gate', gate, value: 0 })
  const controller = new AbortController()
  const waiting = [1, 2].map((value) => pool.run({ kind: 'same', value }))
  const aborted = pool.run({ kind: 'same' }, { signal: controller.signal })
  await t.rejects(pool.run({ kind: 'same' }), { code: 'ERR_C1M_TASK_QUEUE_FULL' })
  t.match(pool.stats(), { queued: 3, running: 1 })
  controller.abort(new Error('enough'))
  await t.rejects(aborted, { message: 'enough' })
  await t.rejects(pool.run({ kind: 'same' }, { signal: controller.signal }), { message: 'enough' })
  const after = pool.run({ kind: 'same', value: 3 })
  open()
  t.strictSame(await Promise.all([running, ...waiting, after]), [0, 1, 2, 3])
  t.match(pool.stats(), { completed: 4, cancelled: 1, queued: 0 })
})

test('a signal ends a running task, and the next task gets a worker', async (t) => {
  const pool = makePool(t)
  const controller = new AbortController()
  const running = pool.run({ kind: 'sleep', value: 60_000 }, { signal: controller.signal })
  await until(() => pool.stats().running === 1)
  controller.abort(new Error('too long'))
  await t.rejects(running, { message: 'too long' })
  t.equal(await pool.run({ kind: 'same', value: 1 }), 1)
})

test('close() waits for accepted tasks, and refuses others', async (t) => {
  const pool = makePool(t)
  const { gate, open } = makeGate()
  const results = [pool.run({ kind: 'gate', gate, value: 1 }), pool.run({ kind: 'same', value: 2 })]
  const closing = pool.close()
  await t.rejects(pool.run({ kind: 'same' }), { code: 'ERR_C1M_POOL_CLOSED' })
  open()
  t.strictSame(await Promise.all(results), [1, 2])
  await closing
  t.equal(pool.close(), closing)
})

test('close({ force: true }) cancels queued tasks', async (t) => {
  const pool = makePool(t)
  const results = [pool.run({ kind: 'sleep', value: 60_000 }), pool.run({ kind: 'same', value: 2 })]
  const outcomes = Promise.allSettled(results)
  await until(() => pool.stats().running === 1)
  await pool.close({ force: true })
  const [running, waiting] = await outcomes
  t.equal(running?.status, 'rejected')
  t.match(waiting, { status: 'rejected', reason: { code: 'ERR_C1M_POOL_CLOSED' } })
})

test('a WorkerPool rejects bad input', async (t) => {
  const type = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }
  const value = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' }
  const range = { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE' }
  const make = (options: unknown) => () => new WorkerPool(options as WorkerPoolOptions)
  for (const options of [undefined, null, {}, { filename: 1 }]) t.throws(make(options), type)
  t.throws(make({ filename: './tasks.js' }), value)
  t.throws(make({ filename: TASKS, sise: 1 }), { ...value, message: /is "size" meant/ })
  for (const size of [0, 1.5, 1025]) t.throws(make({ filename: TASKS, size }), range)
  t.throws(make({ filename: TASKS, maxQueue: 0 }), range)
  const pool = makePool(t)
  const run = (options: object) => pool.run({ kind: 'same' }, options)
  await t.rejects(run({ connection: {} }), type)
  await t.rejects(run({ signal: {} }), type)
  await t.rejects(run({ transfer: 1 }), type)
  await t.rejects(run({ ordered: 1 }), type)
  await t.rejects(run({ ordered: true }), value)
  t.throws(make({ filename: TASKS, resourceLimits: 5 }), type)
  t.throws(make({ filename: '/no/such/module.js' }), { code: 'ERR_MODULE_NOT_FOUND', message: /"filename"/ })
})
