import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Connection } from 'c1m'
import { test } from 'tap'
import { openFilesOf } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const random = seeded(11)

for (const trigger of TRIGGERS) {
  for (const protocol of ['tcp', 'unix'] as const) {
    test(`files are sent in order with writes around them (${protocol}, ${trigger})`, async (t) => {
      const directory = temporaryDirectory(t)
      const big = random.bytes(3_000_000)
      const small = random.bytes(1000)
      writeFileSync(join(directory, 'big'), big)
      writeFileSync(join(directory, 'small'), small)
      writeFileSync(join(directory, 'empty'), '')
      const conns: Connection[] = []
      const path = join(directory, 'socket')
      const { port } = await serve(
        t,
        { open: (conn) => void conns.push(conn) },
        protocol === 'unix' ? ({ path, host: undefined, port: undefined } as object) : {},
        { trigger },
      )
      const peer = await connectPeer(t, port, protocol === 'unix' ? ({ path } as object) : {})
      await until(() => conns.length === 1)
      const conn = conns[0] as Connection
      const pinned = random.bytes(100_000)
      conn.write('head')
      const sent = [conn.sendFile(join(directory, 'small'))]
      conn.write('after small')
      sent.push(conn.sendFile(join(directory, 'big')), conn.sendFile(join(directory, 'empty')))
      conn.write(pinned)
      sent.push(conn.sendFile(join(directory, 'big'), { start: 10, end: 20 }))
      sent.push(conn.sendFile(join(directory, 'small'), { start: 999 }))
      conn.write('tail')
      conn.end('!')
      const want = Buffer.concat([
        Buffer.from('head'),
        small,
        Buffer.from('after small'),
        big,
        pinned,
        big.subarray(10, 20),
        small.subarray(999),
        Buffer.from('tail!'),
      ])
      t.strictSame(await Promise.all(sent), [small.length, big.length, 0, 10, 1])
      await peer.untilEnded()
      t.ok(peer.received.equals(want), 'every byte is right')
      peer.end()
      await peer.untilClosed()
      await until(() => conn.closed)
      await until(() => openFilesOf(directory) === 0, 'the descriptors of the files are closed')
    })
  }
}
