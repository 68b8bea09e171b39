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

async function errorInC1m(t: Test, options: ListenOptions): Promise<ListenError> {
  const error = await makeReactor(t)
    .listen(options, {})
    .then(
      () => undefined,
      (reason: unknown) => reason as ListenError,
    )
  if (error === undefined) throw new Error('listen() has succeeded')
  return error
}

const facts = ({ code, errno, syscall, address, port }: ListenError) => ({ code, errno, syscall, address, port })

test('listen() at a used port rejects with the properties of node:net’s error', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const error = await errorInC1m(t, { host: '127.0.0.1', port })
  t.ok(error instanceof Error)
  t.equal(error.code, 'EADDRINUSE')
  t.strictSame(facts(error), facts(await errorInNode({ host: '127.0.0.1', port })))
  t.match(error.message, `127.0.0.1:${port}`)
})

test('listen() without a host at a used port rejects as in node:net', async (t) => {
  const server = createServer().listen(0)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  t.strictSame(facts(await errorInC1m(t, { port })), facts(await errorInNode({ port })))
})

test('listen() at an address of another machine rejects as in node:net', async (t) => {
  // An address of the range for documentation (RFC 5737).
  const options = { host: '203.0.113.7', port: 7000 }
  const error = facts(await errorInC1m(t, options))
  t.equal(error.code, 'EADDRNOTAVAIL')
  t.strictSame(error, facts(await errorInNode(options)))
})

test('listen() at a used Unix socket rejects as in node:net, except for its port of -1', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  const server = createServer().listen(path)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const error = await errorInC1m(t, { path })
  const { port, ...inNode } = facts(await errorInNode({ path }))
  t.equal(port, -1)
  const { port: ourPort, ...rest } = facts(error)
  t.strictSame(rest, inNode)
  t.equal(ourPort, undefined)
  t.notOk('port' in error)
})

test('a failed listen() leaves the reactor as it was', async (t) => {
  const { reactor, port } = await serve(t, {})
  for (let i = 0; i < 20; i++) {
    await t.rejects(reactor.listen({ host: '127.0.0.1', port }, {}), { code: 'EADDRINUSE' })
  }
  const other = await reactor.listen({ host: '127.0.0.1', port: 0 }, {})
  t.ok(other.port)
  t.strictSame(await reactor.shutdown(), { drained: 0, cut: 0 })
})
