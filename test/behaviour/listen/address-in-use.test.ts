import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import type { ListenOptions } from 'c1m'
import { type Test, test } from 'tap'
import { makeReactor, serve } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

type ListenError = NodeJS.ErrnoException & { readonly address?: string; readonly port?: number }

async function errorInNode(options: ListenOptions): Promise<ListenError> {
  const server = createServer().listen(options)
  const [error] = (await once(server, 'error')) as [ListenError]
  return error
}

async function errorInOurs(t: Test, options: ListenOptions): Promise<ListenError> {
  const error = await makeReactor(t)
    .listen(options, {})
    .then(
      () => undefined,
      (reason: unknown) => reason as ListenError,
    )
  if (error === undefined) throw new Error('it listens')
  return error
}

const facts = ({ code, errno, syscall, address, port }: ListenError) => ({ code, errno, syscall, address, port })

test('a port in use rejects with the facts of node:net’s error', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const ours = await errorInOurs(t, { host: '127.0.0.1', port })
  t.ok(ours instanceof Error)
  t.equal(ours.code, 'EADDRINUSE')
  t.strictSame(facts(ours), facts(await errorInNode({ host: '127.0.0.1', port })))
  t.match(ours.message, `127.0.0.1:${port}`)
})

test('without a host as well', async (t) => {
  const server = createServer().listen(0)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  t.strictSame(facts(await errorInOurs(t, { port })), facts(await errorInNode({ port })))
})

test('an address that is not of this machine rejects as in node:net', async (t) => {
  // Of the range for documentation, RFC 5737.
  const options = { host: '203.0.113.7', port: 7000 }
  const ours = facts(await errorInOurs(t, options))
  t.equal(ours.code, 'EADDRNOTAVAIL')
  t.strictSame(ours, facts(await errorInNode(options)))
})

test('a Unix socket in use rejects like node:net, but for its port of -1', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  const server = createServer().listen(path)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const ours = await errorInOurs(t, { path })
  const { port, ...inNode } = facts(await errorInNode({ path }))
  t.equal(port, -1)
  const { port: ourPort, ...rest } = facts(ours)
  t.strictSame(rest, inNode)
  t.equal(ourPort, undefined)
  t.notOk('port' in ours)
})

test('a failed listen leaves the reactor as it was', async (t) => {
  const { reactor, port } = await serve(t, {})
  for (let i = 0; i < 20; i++) {
    await t.rejects(reactor.listen({ host: '127.0.0.1', port }, {}), { code: 'EADDRINUSE' })
  }
  const other = await reactor.listen({ host: '127.0.0.1', port: 0 }, {})
  t.ok(other.port)
  t.strictSame(await reactor.shutdown(), { drained: 0, cut: 0 })
})
