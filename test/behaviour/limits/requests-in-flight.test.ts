import { type Connection, delimited, type Group, type Reactor } from 'c1m'
import { test } from 'tap'
import { built } from '../../fixtures/built.js'
import { move, threadOf } from '../../fixtures/move.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

/** The max of requests in flight when a handler is called (`docs/architecture.md`); the handler may add more. */
const BOUND = 1024
/** The length of a frame, for each byte of which the handler sends a request. */
const LINE = 1023
const LINES = 5
const FLOOD = LINE * LINES
const PAUSES = 256 * 1024
const options = { framing: delimited('\n') }
const flood = `${'x'.repeat(LINE)}\n`.repeat(LINES)

/** Sends the requests of a handler for one received byte. */
type Ask = (conn: Connection, rooms: readonly Group[], reactor: Reactor) => readonly Promise<unknown>[]
const floods: Record<string, Ask> = {
  // Two groups alternate, so that no broadcast is joined to the one before.
  'broadcasts to two groups': (_, rooms) => rooms.map((room) => room.broadcast('x')),
  'broadcasts to those that pass a filter': (_, __, reactor) => [reactor.connections.broadcast('x', () => true)],
  'tcpInfo()': (conn) => [conn.tcpInfo()],
  'setOptions()': (conn) => [conn.setOptions({ noDelay: true })],
}

for (const ioThreads of [1, 3]) {
  for (const [name, ask] of Object.entries(floods)) {
    test(`a peer that causes ${name} for each byte is throttled (${ioThreads} I/O threads)`, async (t) => {
      const reactor = makeReactor(t, { ioThreads })
      const rooms = [reactor.createGroup(), reactor.createGroup()]
      let inFlight = 0
      let bytes = 0
      let max = 0
      let failed = 0
      const done = () => inFlight--
      const { port } = await serve<unknown>(
        t,
        {
          open: (conn) => {
            for (const room of rooms) room.add(conn)
          },
          data: (conn, chunk) => {
            if (chunk.toString('latin1', 0, 4) === 'ping') return void conn.write('pong')
            max = Math.max(max, inFlight)
            bytes += chunk.length
            for (let i = 0; i < chunk.length; i++) {
              for (const asked of ask(conn, rooms, reactor)) {
                inFlight++
                asked.catch(() => failed++).finally(done)
              }
            }
          },
        },
        options,
        reactor,
      )
      const [flooding, honest] = await Promise.all([connectPeer(t, port), connectPeer(t, port)])
      flooding.write(flood)
      await until(() => bytes > 0)
      for (let i = 1; i <= 3; i++) {
        honest.write('ping\n')
        await until(() => honest.text.split('pong').length > i, 'a reply to another peer')
      }
      await until(() => bytes === FLOOD && inFlight === 0, 'the end of the flood')
      t.ok(max <= BOUND, `${max} in flight`)
      t.equal(failed, 0)
    })
  }
}

test('a peer that causes many commands is throttled as well', async (t) => {
  const { port } = await serve<unknown>(t, {
    data: (conn, chunk) => {
      for (let i = 0; i < chunk.length; i++) {
        conn.pause()
        conn.resume()
      }
      conn.write(chunk)
    },
  })
  const peer = await connectPeer(t, port)
  peer.write('\n'.repeat(PAUSES))
  await until(() => peer.length === PAUSES, 'the echo')
})

test('events of a throttled peer are delivered in order, and a shutdown keeps its deadline', async (t) => {
  const reactor = makeReactor(t)
  const rooms = [reactor.createGroup(), reactor.createGroup()]
  let received = 0
  const log: string[] = []
  const { port } = await serve<unknown>(
    t,
    {
      open: (conn) => {
        for (const room of rooms) room.add(conn)
      },
      data: (_, chunk) => {
        if (received === 0) log.push('data')
        received += chunk.length
        for (let i = 0; i < chunk.length; i++) for (const room of rooms) void room.broadcast('x')
      },
      end: () => log.push(`end after ${received}`),
      close: () => log.push('close'),
    },
    options,
    reactor,
  )
  const peer = await connectPeer(t, port)
  peer.socket.end(flood)
  await until(() => log.length === 3)
  t.strictSame(log, ['data', `end after ${FLOOD}`, 'close'])

  const another = await connectPeer(t, port)
  another.write(flood)
  received = 0
  await until(() => received > 0)
  t.strictSame(await reactor.shutdown({ timeoutMs: 50 }), { drained: 0, cut: 1 })
})

test('broadcasts beyond all bounds reject, and an unhandled one doesn’t end the process', async (t) => {
  const reactor = makeReactor(t)
  const room = reactor.createGroup()
  const { port } = await serve<unknown>(t, { open: (conn) => void room.add(conn) }, {}, reactor)
  const peer = await connectPeer(t, port)
  await until(() => room.size === 1)
  const bytes = Buffer.alloc(64 * 1024 * 1024)
  const taken = Array.from({ length: 8 }, () => room.broadcast(bytes))
  await t.rejects(room.broadcast('x'), { code: 'ERR_C1M_TOO_MUCH_IN_FLIGHT' })
  // The rejection of this one is not handled.
  void room.broadcast('x')
  for (const { reached, queued, cut } of await Promise.all(taken)) t.ok(reached + queued + cut <= 1)
  await peer.closed
  t.strictSame(await room.broadcast('x'), { reached: 0, queued: 0, cut: 0 })
})

test('the list of members counts for the bytes in flight when the core doesn’t have it already', async (t) => {
  type Send = (bytes: Uint8Array, version: number, except: undefined, audiences: () => unknown[]) => unknown
  const { Broadcasts } = built<{ Broadcasts: new () => { send: Send } }>('features/broadcast')
  const counted: number[] = []
  let position = 0
  const thread = {
    checkInFlight: () => {},
    count: (_submit: unknown, _answered: unknown, bytes: number) => void counted.push(bytes),
    commands: {
      get position() {
        return position++
      },
    },
  }
  const audiences = () => [{ thread, targets: new Uint32Array(400), count: 100 }]
  const rooms = Array.from({ length: 9 }, () => new Broadcasts())
  const toEach = (some: typeof rooms) => {
    counted.length = 0
    for (const room of some) room.send(Buffer.from('x'), 1, undefined, audiences)
    return [...counted]
  }
  const list = 100 * 16
  t.strictSame(toEach(rooms), Array(9).fill(1 + list))
  t.strictSame(toEach(rooms), Array(9).fill(1 + list), 'nine groups in rotation')
  toEach(rooms.slice(1))
  t.strictSame(toEach(rooms.slice(1)), Array(8).fill(1), 'the lists of eight groups are kept')
})

test('joined broadcasts count for the requests in flight as separate ones', async (t) => {
  const reactor = makeReactor(t)
  const room = reactor.createGroup()
  let inFlight = 0
  let max = 0
  let bytes = 0
  const { port } = await serve<unknown>(
    t,
    {
      open: (conn) => void room.add(conn),
      data: (_, chunk) => {
        max = Math.max(max, inFlight)
        bytes += chunk.length
        for (let i = 0; i < chunk.length; i++) {
          inFlight++
          room.broadcast('x').finally(() => inFlight--)
        }
      },
    },
    options,
    reactor,
  )
  const peer = await connectPeer(t, port)
  peer.write(flood.repeat(4))
  await until(() => bytes === 4 * FLOOD && inFlight === 0)
  t.ok(max <= BOUND, `${max} in flight`)
  await until(() => peer.length === 4 * FLOOD)
})

test('requests that wait for a move don’t throttle, because the move waits for events', async (t) => {
  const reactor = makeReactor(t, { ioThreads: 2 })
  const { a, b } = await connectPair(t, { reactor, listen: { placement: 'round-robin' } })
  t.not(threadOf(a), threadOf(b))
  let asked: Promise<unknown>[] = []
  const may = () => {
    queueMicrotask(() => {
      asked = Array.from({ length: 2 * BOUND }, () => a.tcpInfo())
    })
    return true
  }
  t.equal(await move(a, threadOf(b), may), true)
  t.equal(asked.length, 2 * BOUND)
  await Promise.all(asked)
})

test('an I/O thread whose events wait for another’s requests continues, although commands pile up', async (t) => {
  const got: string[] = []
  const conns: Connection[] = []
  const chunk = Buffer.alloc(12_000)
  const { port } = await serve<unknown>(
    t,
    {
      open: (conn) => void conns.push(conn),
      data(conn, frame) {
        got.push(frame.toString())
        if (got.length > 1) return
        const other = conns.find((one) => threadOf(one) !== threadOf(conn)) as Connection
        for (let i = 0; i < 4 * BOUND; i++) other.getOptions().catch(() => {})
        // These requests throttle its events, and its commands fill dozens of batches.
        process.nextTick(() => {
          for (let i = 0; i < 1000; i++) other.write(chunk)
        })
      },
    },
    options,
    { ioThreads: 2 },
  )
  const peers = [await connectPeer(t, port), await connectPeer(t, port)]
  await until(() => conns.length === 2)
  for (const peer of peers) peer.socket.pause()
  peers[0]?.write('go\nafter\n')
  await until(() => got.length === 2)
  t.strictSame(got, ['go', 'after'])
})
