import { Reactor, type ReactorOptions } from 'c1m'
import { test } from 'tap'
import { openDescriptors } from '../../fixtures/host.js'
import { makeReactor, until } from '../../fixtures/reactor.js'

const wrongType = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }
const wrongValue = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' }
const outOfRange = { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE' }

const bad: readonly (readonly [unknown, object, RegExp])[] = [
  [0, outOfRange, /"ioThreads".*1 to 64.*0/],
  [65, outOfRange, /"ioThreads"/],
  [1.5, outOfRange, /"ioThreads"/],
  ['many', wrongType, /"ioThreads".*'auto'/],
  [true, wrongType, /"ioThreads"/],
  [null, wrongType, /"ioThreads"/],
  [[4], wrongType, /"ioThreads"/],
  [{ count: 0 }, outOfRange, /"ioThreads.count"/],
  [{ count: '4' }, wrongType, /"ioThreads.count"/],
  [{ cpus: 1 }, wrongType, /"ioThreads.cpus"/],
  [{ cpus: [0, -1] }, outOfRange, /"ioThreads.cpus\[1\]"/],
  [{ cpus: [1024] }, outOfRange, /"ioThreads.cpus\[0\]"/],
  [{ cpus: ['0'] }, wrongType, /"ioThreads.cpus\[0\]"/],
  [{ ownFileTable: 1 }, wrongType, /"ioThreads.ownFileTable"/],
  [{ threads: 4 }, wrongValue, /"threads"/],
]

test('bad ioThreads throw, and start nothing', (t) => {
  const before = openDescriptors()
  for (const [ioThreads, expected, message] of bad) {
    t.throws(() => new Reactor({ ioThreads } as ReactorOptions), { ...expected, message })
  }
  t.equal(openDescriptors(), before)
  t.end()
})

test('the error names a missing CPU, and the threads started before are ended', async (t) => {
  const before = openDescriptors()
  t.throws(() => new Reactor({ ioThreads: { cpus: [0, 1023] } }), {
    ...outOfRange,
    message: /"ioThreads.cpus" must be CPUs on which this process may run, got 1023/,
  })
  // libuv releases a handle in one of its next turns.
  await until(() => openDescriptors() === before)
})

test('bad placements reject', async (t) => {
  const reactor = makeReactor(t, { ioThreads: 2 })
  const listen = (options: object) => reactor.listen({ port: 0, ...options })
  await t.rejects(listen({ placement: 'random' }), { ...wrongValue, message: /"placement".*'cpu'.*'random'/ })
  await t.rejects(listen({ placement: 1 }), wrongType)
  await t.rejects(listen({ placement: 'cpu', reusePort: true }), { ...wrongValue, message: /"reusePort"/ })
  for (const placement of ['reuse-port', 'cpu']) {
    await t.rejects(listen({ port: undefined, path: '/tmp/x', placement }), { ...wrongValue, message: /Unix/ })
  }
})
