import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type PoolListenOptions, ReactorPool, type ReactorPoolOptions } from 'c1m'
import { test } from 'tap'
import { LINES } from '../../fixtures/pool-workers.js'
import { makeReactorPool, WORKERS } from '../../fixtures/reactor-pool.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const wrongType = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }
const wrongValue = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' }
const outOfRange = { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE' }

const badOptions: readonly (readonly [string, unknown, object])[] = [
  ['module', undefined, wrongType],
  ['module', 1, wrongType],
  ['module', './relative.js', wrongValue],
  ['size', '4', wrongType],
  ['size', 0, outOfRange],
  ['size', 1025, outOfRange],
  ['size', 1.5, outOfRange],
  ['startTimeoutMs', -1, outOfRange],
  ['startTimeoutMs', '1', wrongType],
  ['mode', 'fibers', wrongValue],
  ['mode', 1, wrongType],
  ['reactor', 1, wrongType],
  ['cpus', 1, wrongType],
  ['cpus', [], wrongValue],
  ['cpus', [-1], outOfRange],
  ['cpus', ['0'], wrongType],
  ['maxOpenFiles', 1024, wrongValue],
  ['env', 1, wrongType],
  ['execArgv', '--x', wrongType],
  ['resourceLimits', 1, wrongType],
]

test('a pool with bad options throws, names them, and starts nothing', async (t) => {
  for (const [name, value, expected] of badOptions) {
    const make = () => new ReactorPool({ module: WORKERS, [name]: value } as ReactorPoolOptions)
    t.throws(make, { ...expected, message: new RegExp(`"${name}`) }, `${name}: ${String(value)}`)
  }
  for (const options of [undefined, null, 1, WORKERS]) {
    t.throws(() => new ReactorPool(options as unknown as ReactorPoolOptions), wrongType)
  }
  const make = (options: object) => () => new ReactorPool({ module: WORKERS, ...options })
  t.throws(make({ sizes: 2 }), { ...wrongValue, message: /"size"/ })
  t.throws(make({ reactor: { maxConnections: 0 } }), outOfRange)
  t.throws(make({ mode: 'processes', resourceLimits: {} }), { ...wrongValue, message: /"resourceLimits"/ })
  t.throws(make({ mode: 'processes', maxOpenFiles: 63 }), { ...outOfRange, message: /"maxOpenFiles"/ })
  t.throws(make({ cpus: [0], reactor: { ioThreads: { cpus: [1] } } }), { ...wrongValue, message: /"cpus"/ })
})

test('methods of a pool reject bad arguments', async (t) => {
  const pool = makeReactorPool(t, { size: 1 })
  const listen = (options: unknown) => pool.listen(options as PoolListenOptions)
  await t.rejects(listen(undefined), wrongType)
  await t.rejects(listen({}), { ...wrongValue, message: /"port" or "path"/ })
  await t.rejects(listen({ ...LINES, handlers: 1 }), { ...wrongType, message: /"handlers"/ })
  await t.rejects(listen({ ...LINES, placement: 'round-robin' }), { ...wrongValue, message: /"placement"/ })
  await t.rejects(listen({ ...LINES, placement: 'cpu', reusePort: true }), { ...wrongValue, message: /"cpu"/ })
  await t.rejects(listen({ path: '/tmp/x', placement: 'reuse-port' }), { ...wrongValue, message: /"path"/ })
  await t.rejects(listen({ fd: 3 }), { ...wrongValue, message: /"fd"/ })
  await t.rejects(listen({ ...LINES, exclusive: true }), { ...wrongValue, message: /"exclusive"/ })
  await t.rejects(listen({ ...LINES, backlog: 0 }), { ...outOfRange, message: /"backlog"/ })
  await t.rejects(listen({ ...LINES, ports: 0 }), { ...wrongValue, message: /"port"/ })
  t.throws(() => pool.send(1, 1), outOfRange)
  t.throws(() => pool.send(1, '0' as unknown as number), wrongType)
  await t.rejects(pool.restart({ timeoutMs: -1 }), outOfRange)
  await t.rejects(pool.shutdown({ timeout: 1 } as object), wrongValue)
})

for (const placement of ['reuse-port', 'least-connections'] as const) {
  test(`${placement}: listen() rejects bad handlers of a worker's setup`, async (t) => {
    const folder = temporaryDirectory(t)
    const bad = [
      ['{ dtaa() {} }', { ...wrongValue, message: /no "dtaa"; is "data" meant/ }],
      ['{ data: 5 }', { ...wrongType, message: /"handlers.data"/ }],
      ['{ web: { data() {} } }', { ...wrongValue, message: /"handlers" \('web'\)/ }],
    ] as const
    for (const [at, [handlers, expected]] of bad.entries()) {
      const module = join(folder, `${at}.cjs`)
      writeFileSync(module, `exports.setup = () => (${handlers})`)
      const pool = makeReactorPool(t, { module, size: 1 })
      await t.rejects(pool.listen({ host: '127.0.0.1', port: 0, placement }), expected, handlers)
    }
  })
}
