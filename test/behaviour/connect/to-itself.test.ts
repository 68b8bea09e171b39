import { test } from 'tap'
import { makeReactor, serve, TRIGGERS } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`a connection to its own address and port is refused (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger })
    for (const host of ['127.0.0.1', '::1']) {
      // A port whose listener has closed.
      const { listener, port } = await serve(t, {}, { host }, reactor)
      await listener.close()
      const attempt = reactor.connect({ host, port, localAddress: host, localPort: port })
      await t.rejects(attempt, { code: 'ECONNREFUSED', syscall: 'connect', address: host, port })
      t.equal(reactor.connections.size, 0)
      // A server can listen at the port, because nothing is left in TIME_WAIT.
      const again = await serve(t, {}, { host, port }, reactor)
      const conn = await reactor.connect({ host, port })
      t.equal(conn.remotePort, port)
      conn.reset()
      await again.listener.close()
    }
  })
}
