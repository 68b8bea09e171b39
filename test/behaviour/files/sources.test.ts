import { closeSync, openSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FileSource, SendFileOptions } from 'c1m'
import { test } from 'tap'
import { onePair, temporaryFile } from '../../fixtures/file.js'
import { openDescriptors } from '../../fixtures/host.js'
import { until } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

test('a file can be given as a path, bytes, a URL, a FileHandle or a descriptor', async (t) => {
  const { path, content } = temporaryFile(t, 10_000)
  const { conn, peer } = await onePair(t, 'edge')
  const before = openDescriptors()
  const handle = await open(path)
  const fd = openSync(path, 'r')
  // The position of the handle isn't used or changed.
  await handle.read(Buffer.alloc(100), 0, 100, null)
  const sent = [path, Buffer.from(path), pathToFileURL(path), handle, fd].map((source) => conn.sendFile(source))
  const bytes = Buffer.from(path)
  sent.push(conn.sendFile(bytes))
  bytes.fill(0)
  // c1m has duplicated the descriptor by now.
  closeSync(fd)
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(10), 0, 10, null)
  t.ok(bytesRead === 10 && buffer.equals(content.subarray(100, 110)), 'the position is where it was')
  await handle.close()
  t.strictSame(await Promise.all(sent), Array(6).fill(content.length))
  await peer.untilBytes(6 * content.length)
  t.ok(peer.received.equals(Buffer.concat(Array(6).fill(content))))
  await until(() => openDescriptors() === before, 'no descriptor is left')
})

test('a path need not be UTF-8', async (t) => {
  const directory = temporaryDirectory(t)
  const path = Buffer.concat([Buffer.from(join(directory, 'x')), Buffer.from([0xff, 0xfe])])
  writeFileSync(path, 'content')
  const { conn, peer } = await onePair(t, 'edge')
  t.equal(await conn.sendFile(path), 7)
  await peer.untilBytes(7)
  t.equal(peer.text, 'content')
})

test('a range of a file is sent, up to its end at most', async (t) => {
  const { path, content } = temporaryFile(t, 1000)
  const { conn, peer } = await onePair(t, 'edge')
  let all = Buffer.alloc(0)
  for (const [start, end] of [
    [0, 1000],
    [0, 1],
    [999, undefined],
    [1000, undefined],
    [5000, undefined],
    [5000, 6000],
    [500, 500],
    [0, 0],
    [990, 2000],
    [undefined, 10],
    [3, Number.MAX_SAFE_INTEGER],
  ] as const) {
    const want = content.subarray(start ?? 0, end)
    t.equal(
      await conn.sendFile(path, {
        ...(start !== undefined && { start }),
        ...(end !== undefined && { end }),
      }),
      want.length,
      `${start} to ${end}`,
    )
    all = Buffer.concat([all, want])
  }
  await peer.untilBytes(all.length)
  t.ok(peer.received.equals(all))
})

test('bad input rejects and queues nothing', async (t) => {
  const { path } = temporaryFile(t, 10)
  const { conn, peer } = await onePair(t, 'edge')
  for (const [source, options, code] of [
    [undefined, {}, 'ERR_C1M_INVALID_ARG_TYPE'],
    [null, {}, 'ERR_C1M_INVALID_ARG_TYPE'],
    [{}, {}, 'ERR_C1M_INVALID_ARG_TYPE'],
    [true, {}, 'ERR_C1M_INVALID_ARG_TYPE'],
    [-1, {}, 'ERR_C1M_OUT_OF_RANGE'],
    [1.5, {}, 'ERR_C1M_OUT_OF_RANGE'],
    ['', {}, 'ERR_C1M_INVALID_ARG_VALUE'],
    ['a\0b', {}, 'ERR_C1M_INVALID_ARG_VALUE'],
    [Buffer.from([65, 0]), {}, 'ERR_C1M_INVALID_ARG_VALUE'],
    [new URL('http://example.com/'), {}, 'ERR_C1M_INVALID_ARG_VALUE'],
    [new URL('file://elsewhere/x'), {}, 'ERR_C1M_INVALID_ARG_VALUE'],
    [path, null, 'ERR_C1M_INVALID_ARG_TYPE'],
    [path, { start: '1' }, 'ERR_C1M_INVALID_ARG_TYPE'],
    [path, { start: -1 }, 'ERR_C1M_OUT_OF_RANGE'],
    [path, { start: 5, end: 4 }, 'ERR_C1M_OUT_OF_RANGE'],
    [path, { end: 2 ** 53 }, 'ERR_C1M_OUT_OF_RANGE'],
    [path, { signal: {} }, 'ERR_C1M_INVALID_ARG_TYPE'],
    [path, { length: 5 }, 'ERR_C1M_INVALID_ARG_VALUE'],
  ] as const) {
    await t.rejects(conn.sendFile(source as unknown as FileSource, options as unknown as SendFileOptions), { code })
  }
  conn.end('end')
  await t.rejects(conn.sendFile(path), { code: 'ERR_C1M_CONNECTION_CLOSED' }, 'after end()')
  await peer.untilEnded()
  t.equal(peer.text, 'end')
})
