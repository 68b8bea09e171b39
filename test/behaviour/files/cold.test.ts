import { spawnSync } from 'node:child_process'
import type { Connection } from 'c1m'
import { test } from 'tap'
import { temporaryFile } from '../../fixtures/file.js'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`files that are not in the page cache, while others are served (${trigger})`, async (t) => {
    const files = [temporaryFile(t, 4_000_001), temporaryFile(t, 4_000_002), temporaryFile(t, 4_000_003)]
    // Drops the files from the page cache, where the file system supports that.
    for (const { path } of files) {
      spawnSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], { stdio: 'ignore' })
    }
    const conns: Connection[] = []
    const { port } = await serve(
      t,
      {
        open: (conn) => void conns.push(conn),
        data(conn, chunk) {
          conn.write(chunk)
        },
      },
      {},
      { trigger },
    )
    const downloads: { peer: Peer; content: Buffer; sent: Promise<number> }[] = []
    for (const [i, { path, content }] of files.entries()) {
      const peer = await connectPeer(t, port)
      await until(() => conns.length === i + 1)
      const conn = conns[i] as Connection
      conn.write('head')
      downloads.push({ peer, content, sent: conn.sendFile(path, { start: i }) })
      conn.write('tail')
    }
    const echo = await connectPeer(t, port)
    let echoes = 0
    let done = false
    const all = Promise.all(downloads.map(({ sent }) => sent)).finally(() => {
      done = true
    })
    while (!done || echoes === 0) {
      echo.write('x')
      echoes++
      await echo.untilBytes(echoes)
    }
    t.strictSame(
      await all,
      files.map(({ content }, i) => content.length - i),
    )
    for (const [i, { peer, content }] of downloads.entries()) {
      await peer.untilBytes(content.length - i + 8)
      t.ok(peer.received.equals(Buffer.concat([Buffer.from('head'), content.subarray(i), Buffer.from('tail')])))
    }
  })
}
