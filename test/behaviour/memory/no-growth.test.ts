import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { startChild } from '../../fixtures/child.js'
import { collectGarbage } from '../../fixtures/garbage.js'
import { openDescriptors } from '../../fixtures/host.js'
import { makeReactor, TRIGGERS, until } from '../../fixtures/reactor.js'

/** Under the sanitizer descriptors are counted, and memory is not measured. */
const CONNECTIONS = SANITIZED ? 500 : 2000
const ROUNDS = 3

for (const trigger of TRIGGERS) {
  test(`rounds of ${CONNECTIONS} connections leave no descriptor, and no growth of memory (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger })
    let opened = 0
    let closed = 0
    const listener = await reactor.listen<{ bytes: number }>(
      { host: '127.0.0.1', port: 0 },
      {
        open(conn) {
          opened++
          conn.data = { bytes: 0 }
        },
        data(conn, chunk) {
          conn.data.bytes += chunk.length
          conn.write(chunk)
        },
        close: () => void closed++,
      },
    )
    // The clients' process is another one, whose memory is not measured.
    const clients = startChild(t, 'burst-of-clients')
    const rss: number[] = []
    const descriptors: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      clients.tell(JSON.stringify({ port: listener.port, connections: CONNECTIONS }))
      t.equal(await clients.next(), CONNECTIONS)
      await until(() => closed === (round + 1) * CONNECTIONS)
      await collectGarbage()
      rss.push(process.memoryUsage.rss())
      descriptors.push(openDescriptors())
    }
    t.equal(opened, ROUNDS * CONNECTIONS)
    t.equal(reactor.connections.size, 0)
    t.equal(new Set(descriptors.slice(1)).size, 1, `descriptors: ${descriptors}`)
    // 2 KB a connection would be 4 MB.
    const growth = (rss[2] as number) - (rss[1] as number)
    t.ok(SANITIZED || growth < 4 * 1024 * 1024, `${growth} bytes more after the last round than after the one before`)
    t.equal(reactor.stats().queueBytes, 0)
  })
}
