import { closeSync, openSync } from 'node:fs'
import { connect, type Server, Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { type AdoptOptions, Reactor } from 'c1m'
import { test } from 'tap'
import { collect, netServer } from '../../fixtures/handover.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, record, until } from '../../fixtures/reactor.js'

const value = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' }
const type = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }
const range = { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE' }

test('adopt() rejects for a value that is not a connected socket', async (t) => {
  const reactor = makeReactor(t)
  const adopt = (source: unknown) => reactor.adopt(source as Socket)
  for (const source of [undefined, null, 'x', {}, new PassThrough(), [3]]) await t.rejects(adopt(source), type)
  for (const source of [-1, 1.5, Number.NaN, 2 ** 31]) await t.rejects(adopt(source), range)
  await t.rejects(adopt(new Socket()), value, 'one without a handle')
  await t.rejects(adopt(2 ** 31 - 1), { code: 'EBADF', syscall: 'getsockopt' })
  const file = openSync(__filename, 'r')
  t.teardown(() => closeSync(file))
  await t.rejects(adopt(file), { code: 'ENOTSOCK' })
  const { server, port } = await netServer(t)
  const listening = (server as Server & { _handle: { fd: number } })._handle.fd
  await t.rejects(adopt(listening), { code: 'ENOTCONN' })
  const connecting = connect(port, '127.0.0.1')
  t.teardown(() => connecting.destroy())
  await t.rejects(adopt(connecting), { ...value, message: /not connected yet/ })
  t.equal(reactor.connections.size, 0)
})

test('adopt() rejects for a socket that has ended, decodes text, or belongs to TLS', async (t) => {
  const reactor = makeReactor(t)
  const { accept } = await netServer(t)
  const destroyed = (await accept()).socket
  destroyed.destroy()
  await t.rejects(reactor.adopt(destroyed), { ...value, message: /destroyed/ })
  const ended = (await accept()).socket
  ended.end()
  await t.rejects(reactor.adopt(ended), { ...value, message: /ended/ })
  const decoding = (await accept()).socket
  decoding.setEncoding('utf8')
  await t.rejects(reactor.adopt(decoding), { ...value, message: /setEncoding/ })
  const encrypted = new TLSSocket((await accept()).socket, { isServer: true })
  t.teardown(() => encrypted.destroy())
  await t.rejects(reactor.adopt(encrypted), { ...value, message: /TLS/ })
})

test('adopt() with bad options or handlers rejects, and the socket continues', async (t) => {
  const reactor = makeReactor(t)
  const { accept } = await netServer(t)
  const { socket, peer } = await accept()
  const seen = collect(socket)
  const bad = (options: unknown) => reactor.adopt(socket, {}, options as AdoptOptions)
  await t.rejects(bad({ head: 'text' }), type)
  await t.rejects(bad({ idleTimeoutMs: -1 }), range)
  await t.rejects(bad({ allowHalfOpen: 1 }), type)
  await t.rejects(bad(null), type)
  await t.rejects(reactor.adopt(socket, { data: 1 as never }), type)
  const closed = new Reactor({ maxConnections: 10 })
  await closed.shutdown()
  await t.rejects(closed.adopt(socket), { code: 'ERR_C1M_REACTOR_CLOSED' })
  peer.write('still here')
  await until(() => seen.text === 'still here')
  socket.write('me too')
  await peer.untilBytes(6)
})

test('adopt() of a full reactor rejects, and the socket continues', async (t) => {
  const reactor = makeReactor(t, { maxConnections: 2 })
  const { accept } = await netServer(t)
  const log: string[] = []
  const handlers = record<undefined>(log)
  const first = await reactor.adopt((await accept()).socket, handlers)
  const third = await accept()
  await reactor.adopt((await accept()).socket, handlers)
  await t.rejects(reactor.adopt(third.socket, handlers), { code: 'ERR_C1M_MAX_CONNECTIONS' })
  t.equal(third.socket.destroyed, false)
  first.destroy()
  await until(() => reactor.connections.size === 1 && reactor.stats().closed === 1)
  await reactor.adopt(third.socket, handlers)
  t.equal(reactor.connections.size, 2)
})

test('when too many sockets are adopted at the same time, adopt() rejects for the rest and closes them', async (t) => {
  const reactor = makeReactor(t, { maxConnections: 2 })
  const { accept } = await netServer(t)
  const all = [await accept(), await accept(), await accept()]
  const outcomes = await Promise.allSettled(all.map(({ socket }) => reactor.adopt(socket, {})))
  // With several I/O threads any of the sockets may be the last.
  const refused = outcomes.findIndex(({ status }) => status === 'rejected')
  t.equal(outcomes.filter(({ status }) => status === 'rejected').length, 1)
  t.match(outcomes[refused], { reason: { code: 'ERR_C1M_MAX_CONNECTIONS' } })
  await all[refused]?.peer.untilEnded()
})

test('adopted connections count for maxConnections of a listening reactor', async (t) => {
  const reactor = makeReactor(t, { maxConnections: 1 })
  const saturated: string[] = []
  reactor.on('saturated', ({ code }) => saturated.push(code))
  const opened: number[] = []
  const listener = await reactor.listen({ port: 0, host: '127.0.0.1' }, { open: () => opened.push(1) })
  const { accept } = await netServer(t)
  const conn = await reactor.adopt((await accept()).socket)
  await connectPeer(t, listener.port as number)
  await until(() => saturated.length === 1)
  t.strictSame(opened, [])
  conn.destroy()
  await until(() => opened.length === 1)
})

test('a shutdown drains a connection that is being adopted', async (t) => {
  const reactor = makeReactor(t)
  const { accept } = await netServer(t)
  const { socket, peer } = await accept()
  const log: string[] = []
  const adopting = reactor.adopt(socket, record<undefined>(log))
  const down = reactor.shutdown({ timeoutMs: 5000 })
  await adopting
  peer.end()
  t.strictSame(await down, { drained: 1, cut: 0 })
  t.strictSame(log, ['open', 'end', 'close'])
})
