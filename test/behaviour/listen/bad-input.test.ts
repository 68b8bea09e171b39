import type { Handlers, ListenOptions, ListenSettings } from 'c1m'
import { test } from 'tap'
import { openDescriptors } from '../../fixtures/host.js'
import { fence, handlerNames, makeReactor } from '../../fixtures/reactor.js'
import { SAMPLES } from '../../fixtures/socket-options.js'

const wrongType = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }
const wrongValue = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' }
const outOfRange = { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE' }

/** Bad values of each option, together with a valid port. */
const badOptions: Record<
  string,
  { types: readonly unknown[]; values?: readonly unknown[]; range?: readonly unknown[] }
> = {
  // node:net takes a string of digits as a port.
  port: { types: ['7000', null, true, 7000n, {}], range: [-1, 65_536, 1.5, Number.NaN, Number.POSITIVE_INFINITY] },
  host: { types: [1, null, {}], values: [''] },
  ipv6Only: { types: [1, 'true', null] },
  backlog: { types: ['511', null], range: [0, -1, 1.5, 2 ** 31] },
  reusePort: { types: [1, null] },
  exclusive: { types: [1, null] },
  protocol: { types: [6, null], values: ['udp', ''] },
  read: { types: [true, null], values: ['owner'] },
  highWaterMark: { types: ['64k', null], range: [0, -1, 2 ** 30 + 1, 0.5] },
  maxWriteQueue: { types: ['1M', null], range: [65_535, 2 ** 30 + 1] },
  idleTimeoutMs: { types: ['60', null], range: [-1, 2 ** 31, 1.5] },
  readTimeoutMs: { types: ['60', null], range: [-1, 2 ** 31, 1.5] },
  writeTimeoutMs: { types: ['60', null], range: [-1, 2 ** 31, 1.5] },
  totalTimeoutMs: { types: ['60', null], range: [-1, 2 ** 31, 1.5] },
  allowHalfOpen: { types: [1, null] },
  ...SAMPLES,
}

test('listen() with a bad option rejects, names it, and opens nothing', async (t) => {
  const reactor = makeReactor(t)
  const before = openDescriptors()
  for (const [name, { types, values = [], range = [] }] of Object.entries(badOptions)) {
    const message = new RegExp(`"${name}"`)
    const check = async (value: unknown, expected: object) => {
      const options = { port: 0, [name]: value } as ListenOptions
      await t.rejects(reactor.listen(options, {}), { ...expected, message }, `${name}: ${String(value)}`)
    }
    for (const value of types) await check(value, wrongType)
    for (const value of values) await check(value, wrongValue)
    for (const value of range) await check(value, outOfRange)
  }
  await fence(reactor)
  t.equal(openDescriptors(), before)
  t.strictSame(await reactor.shutdown(), { drained: 0, cut: 0 })
})

test('listen() with a bad member of keepAlive rejects, and names it', async (t) => {
  const reactor = makeReactor(t)
  for (const member of ['idleMs', 'intervalMs', 'count']) {
    for (const [value, expected] of [
      ['1', wrongType],
      [null, wrongType],
      [0, outOfRange],
      [-1, outOfRange],
      [0.5, outOfRange],
      [2 ** 31, outOfRange],
    ] as const) {
      const options = { port: 0, keepAlive: { [member]: value } } as ListenOptions
      await t.rejects(reactor.listen(options, {}), { ...expected, message: new RegExp(`"keepAlive.${member}"`) })
    }
  }
})

test('listen() rejects options that are not an object, or lack an address', async (t) => {
  const reactor = makeReactor(t)
  // Among them the arguments of listen(port) and listen(path) of node:net.
  for (const options of [undefined, null, 7000, '7000', '/tmp/socket', [7000], () => {}]) {
    await t.rejects(reactor.listen(options as unknown as ListenOptions, {}), { ...wrongType, message: /"options"/ })
  }
  await t.rejects(reactor.listen({} as ListenOptions, {}), { ...wrongValue, message: /"port" or "path"/ })
})

test('listen() rejects options that contradict each other', async (t) => {
  const reactor = makeReactor(t)
  const path = '\0c1m-test-contradictions'
  const contradictions: readonly (readonly [ListenSettings, RegExp])[] = [
    [{ path, port: 0 }, /"port"/],
    [{ path, host: '127.0.0.1' }, /"host"/],
    [{ path, ipv6Only: true }, /"ipv6Only"/],
    [{ path, reusePort: true }, /"reusePort"/],
    [{ path, protocol: 'mptcp' }, /"protocol"/],
    [{ path: '' }, /"path"/],
    [{ fd: 0, port: 0 }, /"port"/],
    [{ fd: 0, path }, /"path"/],
    [{ fd: 0, backlog: 1 }, /"backlog"/],
    [{ fd: 0, reusePort: true }, /"reusePort"/],
    [{ fd: 0, placement: 'reuse-port' }, /"fd"/],
    [{ port: 0, reusePort: true, exclusive: true }, /"exclusive"/],
  ]
  for (const [options, message] of contradictions) {
    await t.rejects(reactor.listen(options as ListenOptions, {}), { ...wrongValue, message })
  }
  for (const bad of [1, null, {}]) {
    await t.rejects(reactor.listen({ path: bad as unknown as string }, {}), { ...wrongType, message: /"path"/ })
  }
  await t.rejects(reactor.listen({ port: 0, highWaterMark: 1000, maxWriteQueue: 999 }, {}), outOfRange)
})

test('listen() rejects handlers of a wrong type', async (t) => {
  const reactor = makeReactor(t)
  for (const handlers of [null, 1, 'echo', [], () => {}]) {
    await t.rejects(reactor.listen({ port: 0 }, handlers as Handlers), { ...wrongType, message: /"handlers"/ })
  }
  for (const name of handlerNames) {
    for (const handler of [1, 'log', {}, null]) {
      const handlers = { [name]: handler } as Handlers
      await t.rejects(reactor.listen({ port: 0 }, handlers), {
        ...wrongType,
        message: new RegExp(`"handlers.${name}"`),
      })
    }
  }
})

test('an option of listen() that is undefined has its default', async (t) => {
  const names = Object.keys(badOptions).filter((name) => name !== 'port')
  const options = Object.fromEntries([...names, 'path', 'fd'].map((name) => [name, undefined]))
  const listener = await makeReactor(t).listen({ ...options, port: 0 }, { open: undefined } as unknown as Handlers)
  t.ok(listener.port)
})
