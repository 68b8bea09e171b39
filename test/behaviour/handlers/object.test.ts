import type { Connection, Handlers } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

const names = ['open', 'data', 'drain', 'end', 'timeout', 'shutdown', 'close'] as const

test('in each handler, `this` is the handlers object', async (t) => {
  const seen = new Map<string, unknown>()
  const handlers: Handlers = {
    open() {
      seen.set('open', this)
    },
    data(conn) {
      seen.set('data', this)
      conn.write(Buffer.alloc(200_000))
    },
    drain(conn) {
      seen.set('drain', this)
      conn.setTimeout(1)
    },
    timeout(conn) {
      seen.set('timeout', this)
      conn.setTimeout(0)
    },
    shutdown(conn) {
      seen.set('shutdown', this)
      conn.end()
    },
    end() {
      seen.set('end', this)
    },
    close() {
      seen.set('close', this)
    },
  }
  const { reactor, port } = await serve(t, handlers)
  const peer = await connectPeer(t, port)
  peer.socket.on('end', () => peer.end())
  peer.write('hello')
  await until(() => seen.has('timeout'))
  await reactor.shutdown()
  t.strictSame([...seen.keys()].sort(), [...names].sort())
  for (const [name, self] of seen) t.equal(self, handlers, name)
})

test('an instance of a class may be the handlers', async (t) => {
  class Counter implements Handlers<number> {
    total = 0

    open(conn: Connection<number>): void {
      conn.data = 0
    }

    data(conn: Connection<number>, chunk: Buffer): void {
      conn.data += chunk.length
      this.total += chunk.length
      conn.write(String(conn.data))
    }
  }
  const counter = new Counter()
  const { port } = await serve<number>(t, counter)
  const [one, two] = [await connectPeer(t, port), await connectPeer(t, port)]
  one.write('12345')
  two.write('123')
  await one.untilBytes(1)
  await two.untilBytes(1)
  t.strictSame([one.text, two.text, counter.total], ['5', '3', 8])
})

test('handlers may be shared by listeners', async (t) => {
  const reactor = makeReactor(t)
  const ports: unknown[] = []
  const handlers: Handlers = { open: (conn) => void ports.push(conn.listener?.port) }
  const [a, b] = [await serve(t, handlers, {}, reactor), await serve(t, handlers, {}, reactor)]
  await connectPeer(t, a.port)
  await until(() => ports.length === 1)
  await connectPeer(t, b.port)
  await until(() => ports.length === 2)
  t.strictSame(ports, [a.port, b.port])
})

test('a handler that is replaced on the object takes effect', async (t) => {
  const log: string[] = []
  const handlers: Handlers = { data: () => void log.push('first') }
  const { port } = await serve(t, handlers)
  const peer = await connectPeer(t, port)
  peer.write('1')
  await until(() => log.length === 1)
  handlers.data = () => void log.push('second')
  peer.write('2')
  await until(() => log.length === 2)
  t.strictSame(log, ['first', 'second'])
})

test('a listener without handlers accepts, reads, and replies to a FIN with its own', async (t) => {
  const { reactor, port } = await serve(t, {})
  const peer = await connectPeer(t, port)
  peer.write(Buffer.alloc(3_000_000))
  peer.end()
  await peer.untilEnded()
  await until(() => reactor.connections.size === 0)
  t.equal(peer.error, undefined)
  t.equal(reactor.stats().bytesRead, 3_000_000)
})

test('the handlers of listen() may be left out', async (t) => {
  const reactor = makeReactor(t)
  const listener = await reactor.listen({ host: '127.0.0.1', port: 0 })
  await connectPeer(t, listener.port as number)
  await until(() => listener.connections === 1)
})
