import { once } from 'node:events'
import { type Connection, delimited, type Group } from 'c1m'
import { type Test, test } from 'tap'
import { move, type Thread, threadOf } from '../../fixtures/move.js'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

interface Moved {
  readonly conn: Connection<undefined>
  readonly peer: Peer
  readonly log: string[]
  readonly to: Thread
  readonly room: Group<undefined>
}

/** More than the kernel takes for a peer that doesn't read, and no more than its small send buffer passes on soon. */
const MUCH = 3 << 19

for (const trigger of TRIGGERS) {
  const make = async (t: Test, options = {}, handlers = {}): Promise<Moved> => {
    const log: string[] = []
    const opened: Connection<undefined>[] = []
    const { reactor, port } = await serve<undefined>(
      t,
      record<undefined>(log, { ...handlers, open: (conn) => void opened.push(conn) }),
      { placement: 'round-robin', ...options },
      { trigger, ioThreads: 2 },
    )
    const peer = await connectPeer(t, port)
    await until(() => opened.length === 1)
    await connectPeer(t, port)
    await until(() => opened.length === 2)
    log.length = 0
    t.equal(reactor.connections.size, 2)
    const [conn, other] = opened as [Connection<undefined>, Connection<undefined>]
    return { conn, peer, log, to: threadOf(other), room: reactor.createGroup<undefined>() }
  }

  test(`a moved connection stays paused, and its unread bytes are delivered in order (${trigger})`, async (t) => {
    const { conn, peer, log, to } = await make(t)
    await peer.flush('a')
    await until(() => log.length === 1)
    conn.pause()
    await peer.flush('b')
    t.ok(await move(conn, to))
    await peer.flush('c')
    t.equal(conn.paused, true)
    t.strictSame(log, ['data a'])
    conn.resume()
    await until(() => log.join('').replaceAll('data ', '') === 'abc')
  })

  test(`writes during a move are sent after those before it (${trigger})`, async (t) => {
    const { conn, peer, to } = await make(t)
    conn.write('1')
    const moving = move(conn, to)
    conn.write('2')
    for (let i = 3; i < 9; i++) {
      await Promise.resolve()
      conn.write(`${i}`)
    }
    await moving
    conn.write(Buffer.alloc(20_000, '9'))
    conn.end('.')
    await peer.untilEnded()
    t.equal(peer.text, `12345678${'9'.repeat(20_000)}.`)
  })

  test(`a full queue is moved, and its drain is delivered (${trigger})`, async (t) => {
    const { conn, peer, log, to } = await make(t, { sendBufferBytes: 8192 })
    peer.socket.pause()
    const sent = Buffer.alloc(MUCH, 'x')
    t.equal(conn.write(sent), false)
    for (let i = 0; i < 50; i++) conn.write(`small ${i};`)
    const total = sent.length + Array.from({ length: 50 }, (_, i) => `small ${i};`.length).reduce((a, b) => a + b)
    await until(() => conn.writableLength < total)
    const before = conn.writableLength
    t.ok(await move(conn, to))
    t.ok(conn.writableLength > 0 && conn.writableLength <= before, `${conn.writableLength} of ${before}`)
    peer.socket.resume()
    await until(() => log.includes('drain'))
    t.equal(conn.writableLength, 0)
    await peer.untilBytes(total)
    t.ok(peer.received.subarray(0, sent.length).equals(sent))
    t.equal(
      peer.received.subarray(sent.length).toString(),
      Array.from({ length: 50 }, (_, i) => `small ${i};`).join(''),
    )
  })

  test(`writableLength does not count a queued broadcast after a move (${trigger})`, async (t) => {
    const { conn, peer, to, room } = await make(t, { sendBufferBytes: 8192 })
    const from = threadOf(conn)
    peer.socket.pause()
    room.add(conn)
    conn.write(Buffer.alloc(MUCH, 'x'))
    t.strictSame(await room.broadcast('y'.repeat(100_000)), { reached: 0, queued: 1, cut: 0 })
    conn.write('z')
    await until(() => conn.writableLength < MUCH)
    const before = conn.writableLength
    t.ok(await move(conn, to))
    t.ok(room.has(conn))
    t.ok(conn.writableLength <= before && conn.writableLength > 0, `${conn.writableLength} of ${before}`)
    const moving = move(conn, from)
    void room.broadcast('!')
    await moving
    peer.socket.resume()
    await peer.untilBytes(MUCH + 100_002)
    t.equal(peer.received.subarray(MUCH).toString(), `${'y'.repeat(100_000)}z!`)
    await until(() => conn.writableLength === 0)
  })

  test(`an incomplete frame is moved (${trigger})`, async (t) => {
    const { conn, peer, log, to } = await make(t, { framing: delimited('\n') })
    await peer.flush('one\ntw')
    await until(() => log.includes('data one'))
    t.ok(await move(conn, to))
    await peer.flush('o\nthree\n')
    await until(() => log.length === 3)
    t.strictSame(log, ['data one', 'data two', 'data three'])
  })

  test(`the state of both ends is moved (${trigger})`, async (t) => {
    const { conn, peer, log, to } = await make(t, { allowHalfOpen: true })
    peer.end('bye')
    await until(() => log.includes('end'))
    t.ok(await move(conn, to))
    conn.write('still here')
    await peer.untilBytes(10)
    conn.end()
    await peer.untilEnded()
    await until(() => log.includes('close'))
    t.strictSame(log, ['data bye', 'end', 'close'])
  })

  test(`timeouts continue after a move (${trigger})`, async (t) => {
    const { conn, log, to } = await make(t, { idleTimeoutMs: 300, totalTimeoutMs: 700 }, { timeout: () => {} })
    t.ok(await move(conn, to))
    await until(() => log.filter((line) => line === 'timeout').length >= 2)
    conn.destroy()
    await until(() => log.includes('close'))
  })

  test(`requests during a move are executed after it (${trigger})`, async (t) => {
    const { conn, to } = await make(t)
    const moving = move(conn, to)
    const info: Promise<unknown>[] = []
    for (let i = 0; i < 20; i++) {
      info.push(conn.tcpInfo(), conn.setOptions({ noDelay: i % 2 === 0 }))
      await Promise.resolve()
    }
    await Promise.all(info)
    t.ok(await moving)
    t.equal((await conn.getOptions()).noDelay, false)
  })

  for (const [what, end, expected] of [
    ['is destroyed', ({ conn }: Moved) => conn.destroy(), 'close'],
    ['is reset', ({ conn }: Moved) => conn.reset(), 'close'],
    ['is reset by its peer', ({ peer }: Moved) => peer.reset(), 'close ECONNRESET'],
  ] as const) {
    test(`a connection that ${what} during a move closes once, and knows its addresses (${trigger})`, async (t) => {
      for (let turns = 0; turns < 8; turns++) {
        const ports: (number | undefined)[] = []
        const close = (conn: Connection) => void ports.push(conn.remotePort)
        const moved = await make(t, {}, { close })
        const { conn, peer, log, to } = moved
        const moving = move(conn, to)
        for (let i = 0; i < turns; i++) await new Promise(setImmediate)
        end(moved)
        await moving
        await until(() => log.length > 0)
        await peer.untilEnded()
        t.strictSame(log, [expected])
        t.strictSame(ports, [peer.port])
        peer.socket.destroy()
      }
    })
  }

  test(`a connection can be detached during a move (${trigger})`, async (t) => {
    const { conn, peer, log, to } = await make(t)
    await peer.flush('unread')
    await until(() => log.length === 1)
    conn.pause()
    await peer.flush(' more')
    const moving = move(conn, to)
    conn.write('last')
    const socket = await conn.detach()
    t.teardown(() => socket.destroy())
    // The move may have completed first.
    await moving
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    t.equal(chunk.toString(), ' more')
    await peer.untilBytes(4)
    await until(() => log.includes('close'))
  })

  test(`a move that isn't allowed or possible any more resolves with false (${trigger})`, async (t) => {
    const { conn, peer, log, to } = await make(t)
    t.equal(await move(conn, to, () => false), false)
    t.equal(await move(conn, threadOf(conn)), false, 'to its own thread')
    await peer.flush('hello')
    await until(() => log.includes('data hello'))
    conn.destroy()
    t.equal(await move(conn, to), false, 'it has closed')
  })
}
