import { Reactor, type ReactorOptions } from 'c1m'
import { test } from 'tap'
import { openDescriptors } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

const wrongType = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }
const wrongValue = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' }
const outOfRange = { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE' }

const badReactors: readonly (readonly [unknown, typeof wrongType, RegExp])[] = [
  [null, wrongType, /"options"/],
  [1000, wrongType, /"options"/],
  ['fast', wrongType, /"options"/],
  [[], wrongType, /"options"/],
  [() => {}, wrongType, /"options"/],
  [{ maxConnections: '100' }, wrongType, /"maxConnections".*'100'/],
  [{ maxConnections: null }, wrongType, /"maxConnections"/],
  [{ maxConnections: 10n }, wrongType, /"maxConnections"/],
  [{ maxConnections: 0 }, outOfRange, /"maxConnections".*1 to 16777216.*0/],
  [{ maxConnections: -1 }, outOfRange, /"maxConnections"/],
  [{ maxConnections: 1.5 }, outOfRange, /"maxConnections"/],
  [{ maxConnections: Number.NaN }, outOfRange, /"maxConnections"/],
  [{ maxConnections: Number.POSITIVE_INFINITY }, outOfRange, /"maxConnections"/],
  [{ maxConnections: 2 ** 24 + 1 }, outOfRange, /"maxConnections"/],
  [{ trigger: 'both' }, wrongValue, /"trigger".*'edge' or 'level'.*'both'/],
  [{ trigger: 1 }, wrongType, /"trigger"/],
  [{ trigger: true }, wrongType, /"trigger"/],
  [{ poisonBorrowed: 1 }, wrongType, /"poisonBorrowed"/],
  [{ poisonBorrowed: 'yes' }, wrongType, /"poisonBorrowed"/],
]

test('a Reactor with bad options throws, and starts nothing', async (t) => {
  const before = openDescriptors()
  for (const [options, expected, message] of badReactors) {
    t.throws(() => new Reactor(options as ReactorOptions), { ...expected, message })
  }
  t.equal(openDescriptors(), before)
})

test('an option that is undefined has its default', async (t) => {
  const undefinedOptions = { maxConnections: undefined, trigger: undefined, poisonBorrowed: undefined }
  const reactor = new Reactor(undefinedOptions as unknown as ReactorOptions)
  t.strictSame(await reactor.shutdown(undefined), { drained: 0, cut: 0 })
})

const badShutdowns: readonly (readonly [unknown, typeof wrongType])[] = [
  [null, wrongType],
  [1000, wrongType],
  [{ timeoutMs: '1000' }, wrongType],
  [{ timeoutMs: null }, wrongType],
  [{ timeoutMs: -1 }, outOfRange],
  [{ timeoutMs: 0.5 }, outOfRange],
  [{ timeoutMs: 2 ** 31 }, outOfRange],
  [{ timeoutMs: Number.NaN }, outOfRange],
  [{ timeoutMs: Number.POSITIVE_INFINITY }, outOfRange],
]

test('a shutdown with bad options rejects, and the reactor continues', async (t) => {
  let opened = 0
  const { reactor, port } = await serve(t, { open: () => void opened++ })
  for (const [options, expected] of badShutdowns) {
    await t.rejects(reactor.shutdown(options as { timeoutMs: number }), expected)
  }
  await connectPeer(t, port)
  await until(() => opened === 1)
})

test('get() and has() find nothing for values that are not ids', async (t) => {
  const { reactor, port } = await serve(t, { open() {} })
  await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  const nonsense = [0, 1, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 2 ** 60, '1', null, undefined, {}, 1n]
  for (const id of nonsense) {
    t.equal(reactor.connections.get(id as number), undefined)
    t.equal(reactor.connections.has(id as number), false)
  }
  t.equal(makeReactor(t).connections.size, 0)
})
