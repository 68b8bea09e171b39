import type { Connection } from 'c1m'
import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { openDescriptors } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { freePort } from '../../fixtures/port.js'
import { fence, makeReactor, TRIGGERS, until } from '../../fixtures/reactor.js'

// Two descriptors each, as both ends are in this process, and 20,000 are what a process usually gets.
const ATTEMPTS = SANITIZED ? 2000 : 10_000
const REFUSED = ATTEMPTS / 10
const ACCEPTED = ATTEMPTS - REFUSED

for (const trigger of TRIGGERS) {
  test(`${trigger}: ${ATTEMPTS} attempts of one tick settle, each with a connection or a reason`, async (t) => {
    const nobody = await freePort()
    const reactor = makeReactor(t, { trigger, maxConnections: 2 * ACCEPTED + REFUSED + 10 })
    const { port } = await reactor.listen(
      { host: '127.0.0.1', port: 0, backlog: 4096 },
      { data: (conn, chunk) => void conn.end(chunk) },
    )
    await fence(reactor)
    const before = openDescriptors()
    const echoed = new Map<number, string>()
    const log = { opened: 0, closed: 0 }
    const handlers = {
      open: (conn: Connection<undefined>) => {
        log.opened++
        conn.write(`hello ${conn.id}`)
      },
      data: (conn: Connection<undefined>, chunk: Buffer) => {
        echoed.set(conn.id, (echoed.get(conn.id) ?? '') + chunk.toString())
      },
      close: () => void log.closed++,
    }
    // A connection that was open before is served meanwhile.
    const bystander = await connectPeer(t, port as number)
    const attempts = Array.from({ length: ATTEMPTS }, (_, i) => {
      const localAddress = `127.0.${i % 7}.${(i % 200) + 1}`
      return reactor.connect(
        { host: '127.0.0.1', port: i % 10 === 9 ? nobody : (port as number), localAddress },
        handlers,
      )
    })
    bystander.write('here')
    const results = await Promise.allSettled(attempts)
    const there = results.filter((result) => result.status === 'fulfilled')
    const refused = results.filter((result) => result.status === 'rejected')
    t.equal(there.length, ACCEPTED)
    t.equal(refused.length, REFUSED)
    for (const { reason } of refused) t.equal(reason.code, 'ECONNREFUSED')
    await until(() => log.closed === ACCEPTED, 'the end of all connections', 60_000)
    t.equal(log.opened, ACCEPTED)
    t.equal(echoed.size, ACCEPTED)
    t.ok([...echoed].every(([id, text]) => text === `hello ${id}`))
    t.equal(bystander.text, 'here')
    bystander.end()
    await until(() => reactor.connections.size === 0 && openDescriptors() <= before + 1)
  })
}
