import { once } from 'node:events'
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { type Connection, Reactor, relay } from 'c1m'
import { type Test, test } from 'tap'
import { collect, netServer } from '../../fixtures/handover.js'
import { descriptorsByIoThread, openDescriptors, openThreads } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makePipe } from '../../fixtures/pipe.js'
import { makeReactor, record, serve, until } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const own = { ioThreads: { count: 2, ownFileTable: true }, maxConnections: 2000 }

const echo = {
  data(conn: Connection<undefined>, chunk: Buffer) {
    conn.write(chunk)
  },
}

test('with own file tables a socket is adopted from node:net and detached again', async (t) => {
  const { accept } = await netServer(t)
  const reactor = makeReactor(t, own)
  const { socket, peer } = await accept()
  await peer.flush('before ')
  const conn = await reactor.adopt(socket, echo)
  t.equal(conn.remotePort, peer.port)
  t.type(conn.localPort, 'number')
  await peer.flush('during')
  await until(() => peer.text === 'before during')
  const back = await conn.detach()
  t.equal(back.remotePort, peer.port)
  const seen = collect(back)
  await peer.flush('after')
  await until(() => seen.text === 'after')
  back.write('bye')
  await peer.untilBytes('before duringbye'.length)
  back.destroy()
  // Neither table has the descriptor any more.
  await peer.untilEnded()
})

test('more sockets than a passage holds can be adopted and detached at the same time', async (t) => {
  const { accept } = await netServer(t)
  const reactor = makeReactor(t, { ...own, ioThreads: { count: 1, ownFileTable: true } })
  const all: Awaited<ReturnType<typeof accept>>[] = []
  for (let i = 0; i < 700; i++) all.push(await accept())
  const conns = await Promise.all(all.map(({ socket }) => reactor.adopt(socket, echo)))
  const back = await Promise.all(conns.map((conn) => conn.detach()))
  for (const [at, { peer }] of all.entries()) t.equal(back[at]?.remotePort, peer.port)
  for (const socket of back) socket.destroy()
  await Promise.all(all.map(({ peer }) => peer.untilEnded()))
})

test('with own file tables files are sent by path, FileHandle and descriptor, which their owner keeps', async (t) => {
  const path = join(temporaryDirectory(t), 'file')
  const bytes = Buffer.alloc(300_000, 'contents ')
  writeFileSync(path, bytes)
  const handle = await open(path)
  const fd = openSync(path, 'r')
  const { port } = await serve<undefined>(
    t,
    {
      async open(conn) {
        for (const source of [path, handle, fd]) await conn.sendFile(source)
        conn.end()
      },
    },
    {},
    own,
  )
  const peer = await connectPeer(t, port)
  await peer.untilEnded()
  t.ok(peer.received.equals(Buffer.concat([bytes, bytes, bytes])))
  t.equal((await handle.read(Buffer.alloc(8), 0, 8, 0)).bytesRead, 8)
  await handle.close()
  closeSync(fd)
})

test('with own file tables a descriptor of the JS thread can be watched', async (t) => {
  const reactor = makeReactor(t, own)
  const pipe = makePipe(t)
  let edges = 0
  const watch = reactor.watch(pipe.reader, { readable: true }, () => edges++)
  writeSync(pipe.writer, 'x')
  await until(() => edges === 1)
  watch.unwatch()
  writeSync(pipe.writer, 'y')
  const again = reactor.watch(pipe.reader, { readable: true }, () => edges++)
  await until(() => edges === 2)
  again.unwatch()
})

test('with own file tables outgoing connections can be relayed on one thread', async (t) => {
  const { port } = await serve<undefined>(t, echo, {}, own)
  const front = makeReactor(t, { ioThreads: { count: 1, ownFileTable: true }, maxConnections: 100 })
  const listener = await front.listen(
    { host: '127.0.0.1', port: 0, allowHalfOpen: true },
    {
      async open(conn) {
        conn.pause()
        await relay(conn, await front.connect({ host: '127.0.0.1', port }))
      },
    },
  )
  const peer = await connectPeer(t, listener.port as number)
  peer.end('through two reactors')
  await peer.untilEnded()
  t.equal(peer.text, 'through two reactors')
})

test('a descriptor closed by the JS thread is not kept open by I/O threads', async (t) => {
  const { accept } = await netServer(t)
  const early = await accept()
  const reactor = makeReactor(t, own)
  t.equal(descriptorsByIoThread().length, 2)
  for (const count of descriptorsByIoThread()) t.ok(count < 16, `${count} descriptors, of ${openDescriptors()} here`)
  early.socket.destroy()
  await early.peer.untilEnded()
  await reactor.shutdown()
})

test('a shutdown with own file tables leaves nothing, and all peers see a FIN', async (t) => {
  const descriptors = openDescriptors()
  const threads = openThreads()
  const log: string[] = []
  const reactor = new Reactor(own)
  const listener = await reactor.listen<undefined>({ host: '127.0.0.1', port: 0 }, record(log, echo))
  const sockets: Socket[] = []
  for (let i = 0; i < 10; i++) {
    const socket = connect({ host: '127.0.0.1', port: listener.port as number })
    sockets.push(socket)
    socket.write('x')
    await once(socket, 'data')
  }
  const ends = sockets.map((socket) => once(socket.resume(), 'end'))
  await reactor.shutdown({ timeoutMs: 0 })
  await Promise.all(ends)
  t.equal(log.filter((line) => line.startsWith('close')).length, 10)
  for (const socket of sockets) socket.destroy()
  // Descriptors and threads of the previous test may still be released.
  await until(() => openDescriptors() <= descriptors, 'no more descriptors than before')
  await until(() => openThreads() <= threads, 'no more threads than before')
})

async function listenTwice(t: Test): Promise<void> {
  const reactor = makeReactor(t, own)
  const before = descriptorsByIoThread()
  const { port } = await reactor.listen({ host: '127.0.0.1', port: 0 }, echo)
  for (let i = 0; i < 20; i++) await t.rejects(reactor.listen({ host: '127.0.0.1', port: port as number }))
  const peer = await connectPeer(t, port as number)
  await peer.flush('x')
  await peer.untilBytes(1)
  const after = descriptorsByIoThread()
  for (const [at, count] of after.entries()) t.ok(count < (before[at] ?? 0) + 8, `${count} descriptors`)
}

test('a failed listen() leaves no descriptor in any table', listenTwice)
