import type { ConnectOptions, ConnectSettings, Handlers } from 'c1m'
import { test } from 'tap'
import { openDescriptors } from '../../fixtures/host.js'
import { makeReactor, serve } from '../../fixtures/reactor.js'

const wrongType = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }
const wrongValue = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' }
const outOfRange = { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE' }

/** Bad values of each option, together with a valid port. */
const badOptions: Record<
  string,
  { types: readonly unknown[]; values?: readonly unknown[]; range?: readonly unknown[] }
> = {
  port: { types: ['7000', null, true], range: [0, -1, 65_536, 1.5, Number.NaN] },
  host: { types: [1, null, {}], values: [''] },
  family: { types: ['4', null], values: [5, -1, Number.NaN] },
  lookup: { types: ['dns', null, {}] },
  autoSelectFamily: { types: [1, null] },
  autoSelectFamilyAttemptTimeout: { types: ['250', null], range: [0, 9, 2 ** 31, 10.5] },
  localAddress: { types: [1, null], values: ['', 'localhost', '127.0.0.1.1'] },
  localPort: { types: ['1', null], range: [-1, 65_536, 0.5] },
  connectTimeoutMs: { types: ['1', null], range: [-1, 2 ** 31, 0.5] },
  signal: { types: [1, null, {}, new AbortController()] },
  fastOpen: { types: [1, null, 'on'] },
  protocol: { types: [6, null], values: ['udp', ''] },
  read: { types: [true, null], values: ['owner'] },
  highWaterMark: { types: ['64k', null], range: [0, 2 ** 30 + 1] },
  maxWriteQueue: { types: ['1M', null], range: [65_535, 2 ** 30 + 1] },
  idleTimeoutMs: { types: ['60', null], range: [-1, 2 ** 31] },
  allowHalfOpen: { types: [1, null] },
  noDelay: { types: [1, 'on', null] },
  keepAlive: { types: [1, 'on', null, []] },
  congestion: { types: [1, null], range: ['', 'sixteen-letters-'] },
  lingerMs: { types: ['0', null], range: [1, 1000] },
  ipTos: { types: ['1', null], range: [-1, 256] },
}

test('connect() with a bad option rejects, names it, and does nothing', async (t) => {
  const reactor = makeReactor(t)
  const before = openDescriptors()
  for (const [name, { types, values = [], range = [] }] of Object.entries(badOptions)) {
    const message = new RegExp(`"${name}"`)
    const check = async (value: unknown, expected: object) => {
      const options = { port: 1, [name]: value } as ConnectOptions
      await t.rejects(reactor.connect(options, {}), { ...expected, message }, `${name}: ${String(value)}`)
    }
    for (const value of types) await check(value, wrongType)
    for (const value of values) await check(value, wrongValue)
    for (const value of range) await check(value, outOfRange)
  }
  t.equal(openDescriptors(), before)
  t.strictSame(await reactor.shutdown(), { drained: 0, cut: 0 })
})

test('connect() rejects options that contradict each other or are incomplete', async (t) => {
  const reactor = makeReactor(t)
  const bad: ConnectSettings[] = [
    {},
    { host: '127.0.0.1' },
    { path: '' },
    { path: '/x', port: 1 },
    { path: '/x', host: 'localhost' },
    { path: '/x', localAddress: '127.0.0.1' },
    { path: '/x', localPort: 0 },
    { path: '/x', family: 4 },
    { path: '/x', lookup: () => {} },
    { path: '/x', protocol: 'tcp' },
    { path: '/x', fastOpen: true },
    { port: 1, host: '127.0.0.1', family: 6 },
    { port: 1, host: '::1', localAddress: '127.0.0.1' },
    { port: 1, host: 'fe80::1%lo', family: 4 },
    { port: 1, host: 'localhost', localAddress: '127.0.0.1', family: 6 },
  ]
  for (const options of bad)
    await t.rejects(reactor.connect(options as ConnectOptions), wrongValue, JSON.stringify(options))
})

test('connect() rejects missing options, bad handlers and options of listeners', async (t) => {
  const { reactor, port } = await serve(t, {})
  const attempt = (options: unknown, handlers?: unknown) =>
    reactor.connect(options as ConnectOptions, handlers as Handlers)
  for (const options of [undefined, null, 1, 'localhost:1', []]) await t.rejects(attempt(options), wrongType)
  for (const handlers of [null, 1, () => {}, { data: 'x' }, { open: null }]) {
    await t.rejects(attempt({ port }, handlers), wrongType)
  }
  for (const name of ['deferAcceptMs', 'incomingCpu']) {
    await t.rejects(attempt({ port, [name]: 1 }), {
      code: 'ERR_C1M_UNSUPPORTED_OPTION',
      message: new RegExp(`"${name}"`),
    })
  }
  const conn = await attempt({ host: '127.0.0.1', port, family: undefined, localAddress: undefined, signal: undefined })
  t.equal(conn.closed, false)
})
