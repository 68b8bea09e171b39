import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { block, fence, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const closes = (log: string[]) => log.filter((line) => line.startsWith('close'))

for (const trigger of TRIGGERS) {
  test(`bytes read before a RST are delivered, then close with ECONNRESET (${trigger})`, async (t) => {
    const log: string[] = []
    const { port, reactor } = await serve(t, record(log), {}, { trigger })
    const peer = await connectPeer(t, port)
    await until(() => log.includes('open'))
    peer.writeAndBlock('hello', reactor)
    peer.reset()
    block(30)
    await until(() => reactor.connections.size === 0)
    await fence(reactor)
    t.strictSame(log, ['open', 'data hello', 'close ECONNRESET'])
  })

  test(`bytes immediately before a RST are delivered (${trigger})`, async (t) => {
    const log: string[] = []
    const { port, reactor } = await serve(t, record(log), {}, { trigger })
    for (let i = 0; i < 50; i++) {
      const peer = await connectPeer(t, port)
      peer.write('hello')
      peer.reset()
    }
    await until(() => closes(log).length === 50 && reactor.connections.size === 0)
    await fence(reactor)
    t.strictSame(
      closes(log),
      Array.from({ length: 50 }, () => 'close ECONNRESET'),
    )
    t.equal(log.filter((line) => line === 'open').length, 50)
    // The kernel keeps bytes that came before the RST, so all of them can be read.
    t.strictSame(
      log.filter((line) => line.startsWith('data')),
      Array.from({ length: 50 }, () => 'data hello'),
    )
    t.notOk(log.includes('end'))
  })

  test(`a RST closes a paused connection with bytes in the kernel (${trigger})`, async (t) => {
    const log: string[] = []
    const { port, reactor } = await serve(t, record(log, { open: (conn) => void conn.pause() }), {}, { trigger })
    const peer = await connectPeer(t, port)
    await until(() => log.includes('open'))
    await fence(reactor)
    peer.write('unread')
    await fence(reactor)
    peer.reset()
    await until(() => closes(log).length > 0)
    await fence(reactor)
    t.strictSame(log, ['open', 'close ECONNRESET'])
  })

  test(`a RST during writes closes the connection once (${trigger})`, async (t) => {
    const log: string[] = []
    const block64 = Buffer.alloc(64 * 1024, 1)
    const { port, reactor } = await serve(
      t,
      record(log, {
        data(conn) {
          for (let i = 0; i < 100; i++) conn.write(block64)
        },
      }),
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.socket.pause()
    peer.write('go')
    await until(() => log.includes('data go') && reactor.stats().bytesWritten > 0)
    peer.reset()
    await until(() => closes(log).length > 0)
    await fence(reactor)
    t.strictSame(log, ['open', 'data go', 'close ECONNRESET'])
    t.equal(reactor.stats().queueBytes, 0)
  })
}
