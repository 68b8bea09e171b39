import type { Connection, Handlers } from 'c1m'
import { type Test, test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { block, fence, record, type Served, serve, TRIGGERS, turns, until } from '../../fixtures/reactor.js'

interface Paused extends Served<unknown> {
  readonly conn: Connection
  readonly peer: Peer
  readonly log: string[]
}

/**
 * Returns a connection that was paused by its first chunk, when two more chunks, the peer's FIN and its close (because
 * the own side has ended) had already been read: these events are buffered in JavaScript.
 */
async function openPaused(t: Test, trigger: 'edge' | 'level', handlers: Handlers<unknown> = {}): Promise<Paused> {
  const log: string[] = []
  const conns: Connection[] = []
  const served = await serve<unknown>(
    t,
    record(log, {
      ...handlers,
      open(conn) {
        conns.push(conn)
        conn.end('bye')
      },
      data(conn, chunk) {
        if (chunk.toString() === 'one') conn.pause()
        handlers.data?.(conn, chunk)
      },
    }),
    {},
    { trigger },
  )
  const peer = await connectPeer(t, served.port)
  await peer.untilEnded()
  for (const text of ['one', 'two', 'three']) peer.writeAndBlock(text, served.reactor)
  await peer.endAndBlock(30)
  await until(() => log.includes('data one') && served.reactor.connections.size === 0, 'its close in the kernel')
  await fence(served.reactor)
  t.strictSame(log, ['open', 'data one'])
  return { ...served, conn: conns[0] as Connection, peer, log }
}

for (const trigger of TRIGGERS) {
  test(`a regular close waits for buffered events (${trigger})`, async (t) => {
    let address: (string | number | undefined)[] = []
    const { log, conn, peer, port, reactor } = await openPaused(t, trigger, {
      close(closing) {
        address = [closing.remoteAddress, closing.remotePort, closing.remoteFamily, closing.localPort]
      },
    })
    t.equal(conn.resume(), true)
    await until(() => log.includes('close'))
    await fence(reactor)
    t.strictSame(log, ['open', 'data one', 'data two', 'data three', 'end', 'close'])
    t.strictSame(address, ['127.0.0.1', peer.port, 'IPv4', port])
    t.equal(conn.resume(), false)
    t.equal(conn.pause(), false)
  })

  test(`pause() stops the replay of buffered events (${trigger})`, async (t) => {
    const { log, conn, reactor } = await openPaused(t, trigger, {
      data: (each) => void t.equal(each.pause(), true),
      end: (each) => void t.equal(each.pause(), true),
    })
    for (const expected of ['data two', 'data three', 'end', 'close']) {
      const before = log.length
      t.equal(conn.resume(), true)
      await until(() => log.length > before)
      await fence(reactor)
      t.strictSame(log.slice(before), [expected])
    }
  })

  test(`destroy() drops buffered events (${trigger})`, async (t) => {
    const { log, conn, reactor } = await openPaused(t, trigger)
    t.equal(conn.destroy(new Error('enough')), true)
    t.equal(conn.destroy(new Error('again')), false)
    t.equal(conn.resume(), false)
    await until(() => log.some((line) => line.startsWith('close')))
    await fence(reactor)
    t.strictSame(log, ['open', 'data one', 'close enough'])
  })

  test(`destroy() during the replay drops the remaining events (${trigger})`, async (t) => {
    const { log, conn, reactor } = await openPaused(t, trigger, {
      data(each, chunk) {
        if (chunk.toString() === 'two') each.destroy(new Error('enough'))
      },
    })
    conn.resume()
    await until(() => log.some((line) => line.startsWith('close')))
    await fence(reactor)
    t.strictSame(log, ['open', 'data one', 'data two', 'close enough'])
  })

  test(`a shutdown closes a connection with buffered events, once (${trigger})`, async (t) => {
    const { log, reactor } = await openPaused(t, trigger)
    await reactor.shutdown({ timeoutMs: 0 })
    await turns()
    t.strictSame(log, ['open', 'data one', 'close ERR_C1M_SHUTDOWN'])
  })

  test(`a peer's reset closes a paused connection immediately (${trigger})`, async (t) => {
    const log: string[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      record(log, {
        data(conn) {
          log[log.length - 1] = 'data'
          conn.pause()
        },
      }),
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await until(() => log.includes('open'))
    peer.write(Buffer.alloc(384 * 1024, 1))
    block(50)
    await until(() => log.includes('data'))
    await fence(reactor)
    peer.reset()
    await until(() => log.some((line) => line.startsWith('close')))
    await fence(reactor)
    t.strictSame(log, ['open', 'data', 'close ECONNRESET'])
  })

  test(`a peer's reset drops buffered events, and later calls have no effect (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      record(log, {
        open: (conn) => void conns.push(conn),
        data: (conn) => void conn.pause(),
      }),
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await until(() => conns.length > 0)
    const [conn] = conns as [Connection]
    for (const text of ['one', 'two']) peer.writeAndBlock(text, reactor)
    await until(() => log.includes('data one'))
    await fence(reactor)
    peer.reset()
    await until(() => log.some((line) => line.startsWith('close')))
    t.strictSame([conn.pause(), conn.resume(), conn.destroy(), conn.reset()], [false, false, false, false])
    await fence(reactor)
    t.strictSame(log, ['open', 'data one', 'close ECONNRESET'])
  })
}
