import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { collect } from '../../fixtures/handover.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, TRIGGERS, until } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

for (const trigger of TRIGGERS) {
  test(`a Unix socket is adopted and detached (${trigger})`, async (t) => {
    const path = join(temporaryDirectory(t), 's')
    const server = createServer().listen(path)
    await once(server, 'listening')
    t.teardown(() => server.close())
    const accepted = once(server, 'connection')
    const peer = await connectPeer(t, 0, { path } as object)
    const [socket] = (await accepted) as [Socket]
    const reactor = makeReactor(t, { trigger })
    let text = ''
    const conn = await reactor.adopt(socket, {
      data(given, chunk) {
        text += chunk.toString()
        given.write(chunk)
      },
    })
    peer.write('one')
    await peer.untilBytes(3)
    t.equal(conn.remoteAddress, undefined)
    t.equal(conn.localAddress, path)
    const back = await conn.detach()
    t.teardown(() => back.destroy())
    const seen = collect(back)
    peer.end('two')
    await until(() => seen.ended)
    t.equal(seen.text, 'two')
    t.equal(text, 'one')
    await peer.untilClosed()
  })
}
