import { createServer } from 'node:net'
import { join } from 'node:path'
import { Reactor } from 'c1m'
import { test } from 'tap'
import { makeReactor, record, TRIGGERS, until } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

for (const trigger of TRIGGERS) {
  for (const kind of ['a path', 'an abstract name']) {
    test(`${trigger}: connect() reaches ${kind}`, async (t) => {
      const reactor = makeReactor(t, { trigger })
      const path = kind === 'a path' ? join(temporaryDirectory(t), 's') : `\0c1m-${process.pid}-${trigger}`
      await reactor.listen({ path }, { data: (conn, chunk) => void conn.end(chunk) })
      const log: string[] = []
      const conn = await reactor.connect({ path }, record(log, { open: (opened) => void opened.write('hello') }))
      t.strictSame([conn.remoteAddress, conn.remotePort, conn.remoteFamily], [undefined, undefined, undefined])
      t.equal(conn.localAddress, undefined)
      await until(() => log.includes('close'))
      t.strictSame(log, ['open', 'data hello', 'end', 'close'])
    })
  }
}

test('errors for Unix sockets name the path or the option', async (t) => {
  const reactor = makeReactor(t)
  const path = join(temporaryDirectory(t), 'nobody')
  const expected = { message: `connect ENOENT ${path}`, code: 'ENOENT', errno: -2, syscall: 'connect', address: path }
  t.match(await reactor.connect({ path }).catch((error) => error), expected)
  await t.rejects(reactor.connect({ path: 'x'.repeat(108) }), { code: 'ENAMETOOLONG', message: /^connect/ })
  await t.rejects(reactor.connect({ path: 'with\0inside' }), { code: 'EINVAL', message: /^connect/ })
  // A Unix socket supports hardly any options.
  await t.rejects(reactor.connect({ path, noDelay: true }), { code: 'ERR_C1M_UNSUPPORTED_OPTION', message: /noDelay/ })
})

test('a full queue of a Unix listener rejects with EAGAIN immediately', async (t) => {
  const path = join(temporaryDirectory(t), 's')
  const full = makeReactor(t, { maxConnections: 1 })
  const listener = await full.listen({ path, backlog: 1 })
  const reactor = new Reactor()
  t.teardown(() => reactor.shutdown({ timeoutMs: 0 }))
  await reactor.connect({ path })
  await until(() => listener.connections === 1)
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => reactor.connect({ path })))
  const rejected = results.filter(({ status }) => status === 'rejected')
  t.equal(rejected.length, 8)
  for (const result of rejected) t.match(result, { reason: { code: 'EAGAIN', syscall: 'connect' } })
})

test('connect() reaches a Unix server of node:net', async (t) => {
  const path = join(temporaryDirectory(t), 's')
  const server = createServer((socket) => socket.end('welcome')).listen(path)
  t.teardown(() => server.close())
  const log: string[] = []
  await makeReactor(t).connect({ path }, record(log))
  await until(() => log.includes('close'))
  t.strictSame(log, ['open', 'data welcome', 'end', 'close'])
})
