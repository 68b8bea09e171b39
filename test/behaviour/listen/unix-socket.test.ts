import { once } from 'node:events'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import type { Connection } from 'c1m'
import { type Test, test } from 'tap'
import { startChild } from '../../fixtures/child.js'
import { Peer } from '../../fixtures/peer.js'
import { makeReactor, until } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

async function connectPath(t: Test, path: string): Promise<Peer> {
  const socket = connect({ path, allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  const peer = new Peer(socket)
  await once(socket, 'connect')
  return peer
}

const echo = {
  data(conn: Connection<undefined>, chunk: Buffer) {
    conn.write(chunk)
  },
}

/** Leaves a socket file whose process was killed. */
async function staleSocket(t: Test, path: string): Promise<void> {
  const child = startChild(t, 'unix-listener', { args: [path] })
  await child.next('listening')
  child.process.kill('SIGKILL')
  await child.untilExit()
  t.ok(lstatSync(path).isSocket(), 'the file has outlived its process')
}

test('a Unix listener serves, and removes its file when it closes', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  const reactor = makeReactor(t)
  const ends: unknown[] = []
  const listener = await reactor.listen(
    { path },
    {
      open({ remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily }) {
        ends.push({ remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily })
      },
      ...echo,
    },
  )
  // In node:net, address() of a pipe server is its path as well.
  t.equal(listener.address(), path)
  t.equal(listener.port, undefined)
  const peer = await connectPath(t, path)
  peer.write('over the file system')
  await peer.untilBytes(20)
  t.equal(peer.text, 'over the file system')
  t.strictSame(ends, [
    {
      remoteAddress: undefined,
      remotePort: undefined,
      remoteFamily: undefined,
      localAddress: path,
      localPort: undefined,
      localFamily: undefined,
    },
  ])
  await listener.close()
  t.notOk(existsSync(path))
  peer.write(', and still connected')
  await peer.untilBytes(41)
  t.equal(peer.length, 41)
})

test('a shutdown removes the socket file', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  const reactor = makeReactor(t)
  await reactor.listen({ path }, {})
  await reactor.shutdown()
  t.notOk(existsSync(path))
})

test('a stale socket file is replaced', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  await staleSocket(t, path)
  await makeReactor(t).listen({ path }, echo)
  const peer = await connectPath(t, path)
  peer.write('fresh')
  await peer.untilBytes(5)
  t.equal(peer.text, 'fresh')
})

test('listen() at a socket in use rejects with EADDRINUSE, and its server continues', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  // The check for a live server is a connection that closes immediately.
  const server = createServer((socket) => socket.on('error', () => {}).end('alive')).listen(path)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const reactor = makeReactor(t)
  await t.rejects(reactor.listen({ path }, {}), { code: 'EADDRINUSE', address: path })
  const peer = await connectPath(t, path)
  await peer.untilEnded()
  t.equal(peer.text, 'alive')
})

test('a second listen() at the same path rejects with EADDRINUSE', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  const reactor = makeReactor(t)
  await reactor.listen({ path }, echo)
  await t.rejects(reactor.listen({ path }, {}), { code: 'EADDRINUSE' })
  t.ok(existsSync(path))
  const peer = await connectPath(t, path)
  peer.write('!')
  await peer.untilBytes(1)
})

test('files that are not sockets are not removed', async (t) => {
  const directory = temporaryDirectory(t)
  const file = join(directory, 'file')
  const folder = join(directory, 'folder')
  const link = join(directory, 'link')
  writeFileSync(file, 'precious')
  mkdirSync(folder)
  symlinkSync(file, link)
  const reactor = makeReactor(t)
  for (const path of [file, folder, link]) await t.rejects(reactor.listen({ path }, {}), { code: 'EADDRINUSE' })
  t.equal(readFileSync(file, 'utf8'), 'precious')
  t.ok(lstatSync(folder).isDirectory())
  t.ok(lstatSync(link).isSymbolicLink())
})

test('a closing listener doesn’t remove a file that has replaced its socket', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  const reactor = makeReactor(t)
  const listener = await reactor.listen({ path }, {})
  unlinkSync(path)
  writeFileSync(path, 'not yours')
  await listener.close()
  t.equal(readFileSync(path, 'utf8'), 'not yours')
})

test('a closing listener doesn’t remove the socket file of its successor', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  for (const close of ['listener', 'shutdown'] as const) {
    const reactor = makeReactor(t)
    const listener = await reactor.listen({ path }, {})
    const successor = makeReactor(t)
    await successor.listen({ path: `${path}.new` }, echo)
    renameSync(`${path}.new`, path)
    await (close === 'listener' ? listener.close() : reactor.shutdown())
    const peer = await connectPath(t, path)
    peer.write('here')
    await peer.untilBytes(4)
    t.equal(peer.text, 'here', close)
    await successor.shutdown({ timeoutMs: 0 })
    t.ok(existsSync(path), 'the successor doesn’t remove a file of another name than it bound')
    unlinkSync(path)
  }
})

/** Returns a name as long as sun_path, because Node 20 pads shorter ones with NULs, which makes other names. */
const abstractName = (name: string) => `\0${name}-${process.pid}`.padEnd(108, '-')

test('an abstract name has no file, and is free after close()', async (t) => {
  const path = abstractName('c1m-test')
  const reactor = makeReactor(t)
  const listener = await reactor.listen({ path }, echo)
  t.equal(listener.address(), path)
  const peer = await connectPath(t, path)
  peer.write('abstract')
  await peer.untilBytes(8)
  t.equal(peer.text, 'abstract')
  await t.rejects(reactor.listen({ path }, {}), { code: 'EADDRINUSE' })
  await listener.close()
  await reactor.listen({ path }, {})
})

test('a short abstract name is not padded', async (t) => {
  const name = `c1m-short-${process.pid}`
  const listener = await makeReactor(t).listen({ path: `\0${name}` }, {})
  t.equal(listener.address(), `\0${name}`)
  t.ok(
    readFileSync('/proc/net/unix', 'latin1')
      .split('\n')
      .some((line) => line.endsWith(` @${name}`)),
  )
})

test('listen() rejects a path that the system refuses', async (t) => {
  const directory = temporaryDirectory(t)
  const reactor = makeReactor(t)
  const missing = join(directory, 'missing', 'socket')
  await t.rejects(reactor.listen({ path: missing }, {}), { code: 'ENOENT', address: missing })
  // sun_path has 108 bytes. node:net truncates the path, and listens elsewhere.
  const long = join(directory, 'x'.repeat(108))
  await t.rejects(reactor.listen({ path: long }, {}), { code: 'ENAMETOOLONG', address: long })
  await t.rejects(reactor.listen({ path: join(directory, 'a\0b') }, {}), { code: /./ })
})

test('a path may be as long as sun_path, and need not be ASCII', async (t) => {
  const directory = temporaryDirectory(t)
  const reactor = makeReactor(t)
  for (const name of ['x'.repeat(107 - directory.length - 1), 'söckel-☃']) {
    const path = join(directory, name)
    const listener = await reactor.listen({ path }, echo)
    t.equal(listener.address(), path)
    await connectPath(t, path)
    await until(() => listener.connections === 1)
    await listener.close()
  }
})
