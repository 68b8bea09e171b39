import { spawnSync } from 'node:child_process'
import { WorkerPool, type WorkerPoolOptions } from 'c1m'
import { test } from 'tap'
import { packageRoot } from '../../fixtures/built.js'
import { makePool, TASKS } from '../../fixtures/pool.js'

test('an error of a task keeps its class, code and properties', async (t) => {
  const pool = makePool(t)
  const failure = (value: unknown) =>
    pool.run({ kind: 'fail', value }).then(
      () => t.fail('the task has not failed'),
      (reason) => reason,
    )
  const missing = await failure('file')
  t.match(missing, { code: 'ENOENT', errno: -2, syscall: 'open', path: '/no/such/file' })
  t.ok(missing instanceof Error && /tasks\.[jt]s/.test(missing.stack ?? ''), 'the error has its stack')
  const own = await failure('own class')
  t.match(own, { name: 'OwnError', message: 'of its own', detail: { list: [1] }, cause: { code: 'EINNER' } })
  t.equal('uncloneable' in own, false)
  t.ok(own instanceof RangeError && own.cause instanceof TypeError)
  const several = await failure('several')
  t.match(several, { name: 'AggregateError', errors: [{ message: 'one' }, { code: 'ETWO' }] })
  t.equal(await failure('no error'), 'a string')
  t.match(await failure('result'), { name: 'DataCloneError' })
})

test('a missing module is found by the constructor, with any loader', async (t) => {
  const make = () => new WorkerPool({ filename: '/no/such/module.js' } as WorkerPoolOptions)
  t.throws(make, { code: 'ERR_MODULE_NOT_FOUND', message: /filename/ })
  const program = `
    const { WorkerPool } = require(${JSON.stringify(packageRoot)})
    try { new WorkerPool({ filename: '/no/such/module.js' }) } catch (error) { console.log(error.code) }
    const pool = new WorkerPool({ filename: ${JSON.stringify(TASKS)}, size: 1 })
    pool.run({ kind: 'fail', value: 'file' }).catch((error) => console.log(error.code)).then(() => pool.close())`
  const { stdout } = spawnSync(process.execPath, ['-e', program], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  t.strictSame(stdout.trim().split('\n'), ['ERR_MODULE_NOT_FOUND', 'ENOENT'])
})

test('only the bytes of a chunk are cloned, not its whole memory', async (t) => {
  const pool = makePool(t)
  const slab = Buffer.alloc(262_144, 'x')
  const chunk = slab.subarray(1000, 1005)
  for (const value of [chunk, { chunk }, [chunk]]) {
    t.strictSame(await pool.run({ kind: 'same', value }), structuredClone(value), 'the same value')
  }
  t.strictSame(await pool.run(chunk), { own: 5, memory: 5 })
  t.strictSame(await pool.run({ kind: 'memory of', value: chunk }), 5)
  t.strictSame(await pool.run([chunk, new DataView(slab.buffer, slab.byteOffset + 8, 16)]), { own: 2, memory: 21 })
  const shared = new Int32Array(new SharedArrayBuffer(64), 8, 2)
  t.strictSame(await pool.run({ kind: 'memory of', value: shared }), 64)
  const moved = new Uint8Array(1000)
  t.strictSame(await pool.run({ kind: 'memory of', value: moved.subarray(1, 5) }, { transfer: [moved.buffer] }), 1000)
})
