import type { Connection } from 'c1m'
import { test } from 'tap'
import { netServer, socketHandles } from '../../fixtures/handover.js'
import { fence, makeReactor, record, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`an adopted socket delivers the bytes read before first, and libuv keeps nothing (${trigger})`, async (t) => {
    const { server, accept } = await netServer(t)
    const { socket, peer } = await accept()
    const handles = socketHandles()
    await peer.flush('buffered ')
    await until(() => socket.readableLength === 9)
    socket.setTimeout(60_000)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    const log: string[] = []
    const reactor = makeReactor(t, { trigger })
    const open = (conn: Connection<{ name: string }>) => log.push(`named ${conn.data.name}`)
    const adopting = reactor.adopt(socket, record(log, { open }), { head: Buffer.from('head '), data: { name: 'x' } })
    t.equal(socket.destroyed, true, 'taken over immediately')
    await peer.flush('kernel')
    const conn = await adopting
    await until(() => log.join().includes('kernel'))
    t.strictSame(log.slice(0, 2), ['open', 'named x'])
    t.equal(log.slice(2).join('').replaceAll('data ', ''), 'head buffered kernel')
    t.equal(conn.remotePort, peer.port)
    t.equal(conn.remoteAddress, '127.0.0.1')
    t.equal(conn.localPort, (server.address() as { port: number }).port)
    t.equal(conn.listener, undefined)
    t.equal(reactor.connections.get(conn.id), conn)
    await closed
    await until(() => socketHandles() === handles - 1)
    t.equal(process.getActiveResourcesInfo().includes('Timeout'), false, 'its timer is gone')
    t.equal(await new Promise((resolve) => server.getConnections((_error, count) => resolve(count))), 0)
    t.equal(peer.gone, false, 'its peer sees no close')
    conn.write('answer')
    await peer.untilBytes(6)
    t.equal(peer.text, 'answer')
    peer.end()
    await until(() => log.at(-1) === 'close')
    await peer.untilClosed()
    t.strictSame(log.slice(-2), ['end', 'close'])
    t.equal(log.filter((line) => line === 'open').length, 1)
    const { adopted, accepted } = reactor.stats()
    t.strictSame({ adopted, accepted }, { adopted: 1, accepted: 0 })
  })

  test(`a head longer than a read is delivered completely, also after a pause (${trigger})`, async (t) => {
    const head = Buffer.alloc(300_000, 'abcdefg')
    const { accept } = await netServer(t)
    const { socket, peer } = await accept()
    const reactor = makeReactor(t, { trigger })
    let received = Buffer.alloc(0)
    const conn = await reactor.adopt(
      socket,
      {
        open(opened) {
          opened.pause()
        },
        data(_conn, chunk) {
          received = Buffer.concat([received, chunk])
        },
      },
      { head, read: 'borrowed' },
    )
    peer.write('!')
    await fence(reactor)
    t.equal(received.length, 0)
    conn.resume()
    await until(() => received.length > head.length)
    t.ok(received.equals(Buffer.concat([head, Buffer.from('!')])))
  })

  test(`a FIN that was read before is delivered (${trigger})`, async (t) => {
    const { accept } = await netServer(t, { allowHalfOpen: true })
    const { socket, peer } = await accept()
    peer.end('last bytes')
    await until(() => (socket as unknown as { _readableState: { ended: boolean } })._readableState.ended)
    const log: string[] = []
    const reactor = makeReactor(t, { trigger })
    const conn = await reactor.adopt(socket, record<undefined>(log), { allowHalfOpen: true })
    await until(() => log.includes('end'))
    t.strictSame(log, ['open', 'data last bytes', 'end'])
    conn.end('answer')
    await peer.untilClosed()
    t.equal(peer.text, 'answer')
  })
}

test('the idle timeout of adopt() applies', async (t) => {
  const { accept } = await netServer(t)
  const { socket, peer } = await accept()
  const log: string[] = []
  await makeReactor(t).adopt(socket, record<undefined>(log), { idleTimeoutMs: 50 })
  await until(() => log.includes('close ERR_C1M_IDLE_TIMEOUT'))
  await peer.untilEnded()
})

test('each adopted socket has its own handlers and options', async (t) => {
  const { accept } = await netServer(t)
  const reactor = makeReactor(t)
  const logs: string[][] = [[], []]
  const handlers = logs.map((log) => record<undefined>(log))
  const marks: boolean[] = []
  for (const [at, highWaterMark] of [
    [0, 10],
    [0, 1000],
    [1, 10],
    [0, 10],
  ] as const) {
    const { socket } = await accept()
    const conn = await reactor.adopt(socket, handlers[at], { highWaterMark })
    marks.push(conn.write(Buffer.alloc(20)))
    conn.destroy()
    await until(() => reactor.connections.size === 0)
  }
  t.strictSame(marks, [false, true, false, false])
  t.equal(logs[0]?.filter((line) => line === 'close').length, 3)
  t.equal(logs[1]?.filter((line) => line === 'close').length, 1)
})
