import type { LookupAddress, LookupOptions } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { test } from 'tap'
import { blackhole } from '../../fixtures/blackhole.js'
import { hasIpv6, openDescriptors } from '../../fixtures/host.js'
import { fence, makeReactor, record, serve, until } from '../../fixtures/reactor.js'

const name = 'some.name'

/** Returns a lookup that finds these addresses, and adds its arguments to `asked`. */
function answering(addresses: readonly string[], asked: unknown[] = []): LookupFunction {
  return (host, options: LookupOptions, callback) => {
    asked.push([host, options.all, options.family])
    const found: LookupAddress[] = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    process.nextTick(callback, null, found)
  }
}

test('the default host is localhost, and the default lookup is the system’s', async (t) => {
  const { reactor, port } = await serve(t, {}, { host: 'localhost' })
  const conn = await reactor.connect({ port })
  t.equal(conn.remotePort, port)
})

test('while an address does not reply, the next one is tried', async (t) => {
  const { listener, port } = await serve(t, {}, { host: '127.0.0.2' })
  await blackhole(t, '127.0.0.1', port)
  const reactor = makeReactor(t)
  const before = openDescriptors()
  const log: string[] = []
  const asked: unknown[] = []
  const start = performance.now()
  const conn = await reactor.connect(
    { host: name, port, lookup: answering(['127.0.0.1', '127.0.0.2'], asked), autoSelectFamilyAttemptTimeout: 60 },
    record(log),
  )
  t.ok(performance.now() - start >= 59)
  t.equal(conn.remoteAddress, '127.0.0.2')
  t.strictSame(asked, [[name, true, 0]])
  // The other attempt has been cancelled: only the connection's two ends are left.
  await until(() => openDescriptors() === before + 2)
  t.strictSame(log, ['open'])
  await until(() => listener.connections === 1)
  t.equal(reactor.connections.size, 1)
})

test('after a refusal the next address is tried immediately', async (t) => {
  const { reactor, port } = await serve(t, {}, { host: '127.0.0.2' })
  const lookup = answering(['127.0.0.3', '127.0.0.2'])
  const start = performance.now()
  const conn = await reactor.connect({ host: name, port, lookup, autoSelectFamilyAttemptTimeout: 60_000 })
  t.ok(performance.now() - start < 30_000)
  t.equal(conn.remoteAddress, '127.0.0.2')
})

test('when several addresses connect at the same time, handlers get events of one connection only', async (t) => {
  const { reactor: server, port } = await serve(t, { open: (conn) => void conn.write('x') }, { host: '0.0.0.0' })
  const client = makeReactor(t)
  for (let round = 0; round < 20; round++) {
    const log: string[] = []
    const addresses = Array.from({ length: 8 }, (_, i) => `127.0.0.${i + 1}`)
    const lookup = answering(addresses)
    const attempt = client.connect(
      { host: name, port, lookup, autoSelectFamilyAttemptTimeout: 10 },
      record(log, { data: (conn) => void conn.destroy() }),
    )
    await attempt
    await until(() => client.connections.size === 0 && server.connections.size === 0)
    t.strictSame(log, ['open', 'data x', 'close'])
  }
})

test('when all addresses fail, the error has all errors, and the code of the first', async (t) => {
  const { reactor, port, listener } = await serve(t, {})
  await listener.close()
  const lookup = answering(['127.0.0.1', '127.0.0.2'])
  const error = await reactor.connect({ host: name, port, lookup }).catch((reason) => reason)
  t.type(error, AggregateError)
  t.match(error, {
    code: 'ECONNREFUSED',
    message: `connect ECONNREFUSED 127.0.0.1:${port}, connect ECONNREFUSED 127.0.0.2:${port}`,
    errors: [
      { code: 'ECONNREFUSED', address: '127.0.0.1', port },
      { code: 'ECONNREFUSED', address: '127.0.0.2', port },
    ],
  })
})

test('address families alternate, beginning with that of the first address', { skip: !hasIpv6() }, async (t) => {
  const { reactor, port, listener } = await serve(t, {})
  await listener.close()
  const attempt = async (addresses: string[], options: object = {}) => {
    const error = await reactor
      .connect({ host: name, port, lookup: answering(addresses), ...options })
      .catch((reason) => reason)
    return (error.errors ?? [error]).map(({ address }: { address?: string }) => address)
  }
  const addresses = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '::1']
  t.strictSame(await attempt(addresses), ['127.0.0.1', '::1', '127.0.0.2', '127.0.0.3'])
  t.strictSame(await attempt(['::1', '127.0.0.1', '::1']), ['::1', '127.0.0.1', '::1'])
  t.strictSame(await attempt(addresses, { family: 6 }), ['::1'])
  t.strictSame(await attempt(addresses, { localAddress: '::1' }), ['::1'])
  t.strictSame(await attempt(addresses, { autoSelectFamily: false }), ['127.0.0.1'])
})

test('a lookup that fails, throws, finds nothing, or returns no address rejects', async (t) => {
  const reactor = makeReactor(t)
  const attempt = (lookup: LookupFunction) => reactor.connect({ host: name, port: 1, lookup })
  const failure = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
  t.equal(await attempt((_host, _options, callback) => callback(failure, [])).catch((error) => error), failure)
  await t.rejects(
    attempt(() => {
      throw failure
    }),
    failure,
  )
  await t.rejects(attempt(answering([])), { code: 'ENOTFOUND', message: `getaddrinfo ENOTFOUND ${name}` })
  await t.rejects(attempt(answering(['127.0.0.1', 'nonsense'])), { code: 'ERR_C1M_INVALID_ARG_VALUE' })
  await t.rejects(reactor.connect({ host: 'no-such-name.invalid', port: 1 }), { message: /^getaddrinfo/ })
})

test('a lookup may return a single address', async (t) => {
  const { reactor, port } = await serve(t, {})
  const conn = await reactor.connect({
    host: name,
    port,
    lookup: (_host, _options, callback) => callback(null, '127.0.0.1', 4),
  })
  t.equal(conn.remoteAddress, '127.0.0.1')
})

test('a lookup that calls back twice connects once', async (t) => {
  const { reactor, port } = await serve(t, {})
  const one = [{ address: '127.0.0.1', family: 4 }]
  const lookup: LookupFunction = (_host, _options, callback) => {
    callback(null, one)
    callback(null, one)
  }
  const log: string[] = []
  await reactor.connect({ host: name, port, lookup }, record(log))
  await fence(reactor)
  t.strictSame(log, ['open'])
})
