import { chmodSync, truncateSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { test } from 'tap'
import { endlessFile, onePair, temporaryFile } from '../../fixtures/file.js'
import { openDescriptors } from '../../fixtures/host.js'
import { quiet, TRIGGERS, until } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const MIB = 1 << 20

for (const trigger of TRIGGERS) {
  test(`sendFile() rejects for a file that can't be opened, and the connection continues (${trigger})`, async (t) => {
    const { path, content } = temporaryFile(t, 100)
    const { conn, peer } = await onePair(t, trigger)
    conn.write('a')
    const missing = { code: 'ENOENT', errno: -2, syscall: 'open', path: `${path}-missing` }
    const rejected = [t.rejects(conn.sendFile(`${path}-missing`), missing)]
    conn.write('b')
    rejected.push(t.rejects(conn.sendFile(temporaryDirectory(t)), { code: 'EISDIR' }))
    conn.write('c')
    rejected.push(t.rejects(conn.sendFile(1_000_000), { code: 'EBADF', syscall: 'dup' }))
    for (const long of ['x'.repeat(4096), Buffer.alloc(2 ** 20, 'x'), '\u20ac'.repeat(1400)]) {
      rejected.push(t.rejects(conn.sendFile(long), { code: 'ENAMETOOLONG', syscall: 'open' }))
    }
    const sent = conn.sendFile(path)
    conn.write('d')
    await Promise.all(rejected)
    await t.rejects(conn.sendFile('/dev/null'), { code: 'ESPIPE' })
    t.equal(await sent, 100)
    await peer.untilBytes(104)
    t.ok(peer.received.equals(Buffer.concat([Buffer.from('abc'), content, Buffer.from('d')])))
    const handle = await open(path)
    await handle.close()
    await t.rejects(conn.sendFile(handle), { code: 'EBADF' }, 'a closed FileHandle')
    // NaN would be taken for 0, which is standard input.
    const noNumber = { fd: Number.NaN } as unknown as Parameters<typeof conn.sendFile>[0]
    await t.rejects(conn.sendFile(noNumber), { code: 'ERR_C1M_OUT_OF_RANGE' })
    const writeOnly = await open(path, 'a')
    await t.rejects(conn.sendFile(writeOnly), { code: 'EBADF' }, 'one that is open for writing only')
    await writeOnly.close()
    if (process.getuid?.() !== 0) {
      chmodSync(path, 0)
      await t.rejects(conn.sendFile(path), { code: 'EACCES' })
    }
    t.equal(conn.closed, false)
  })

  test(`a file that becomes shorter resets the connection (${trigger})`, async (t) => {
    const path = endlessFile(t)
    const { conn, peer, log } = await onePair(t, trigger)
    const before = openDescriptors()
    conn.write('head')
    const rejected = Promise.all([
      t.rejects(conn.sendFile(path), { code: 'ERR_C1M_FILE_TRUNCATED' }),
      t.rejects(conn.sendFile(path), { code: 'ERR_C1M_CONNECTION_CLOSED' }),
    ])
    await peer.untilBytes(MIB)
    truncateSync(path, MIB)
    await rejected
    // libuv turns a RST with unread bytes into an end; the native tests check that it is a RST.
    await peer.untilEnded()
    await until(() => log.length === 2)
    t.strictSame(log, ['open', 'close ERR_C1M_FILE_TRUNCATED'])
    t.ok(openDescriptors() <= before)
  })

  test(`the peer's reset, destroy() and reset() reject sendFile() (${trigger})`, async (t) => {
    const { path } = temporaryFile(t, 32 * MIB)
    for (const [how, code] of [
      ['peer', /^ECONNRESET$/],
      ['destroy', /^ERR_C1M_CONNECTION_CLOSED$/],
      ['reset', /^ERR_C1M_CONNECTION_CLOSED$/],
    ] as const) {
      const { conn, peer, log, reactor } = await onePair(t, trigger)
      const before = openDescriptors()
      peer.socket.pause()
      const rejected = [0, 1].map(() => t.rejects(conn.sendFile(path), { code }, how))
      await until(() => reactor.stats().bytesWritten > 0)
      await quiet(reactor)
      if (how === 'peer') peer.reset()
      else conn[how]()
      await Promise.all(rejected)
      await until(() => log.length === 2)
      t.equal(log[1], how === 'peer' ? 'close ECONNRESET' : 'close')
      await t.rejects(conn.sendFile(path), { code: 'ERR_C1M_CONNECTION_CLOSED' })
      t.ok(openDescriptors() <= before)
    }
  })
}
