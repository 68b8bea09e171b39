import { type Connection, type Handlers, type Listener, Reactor } from 'c1m'
import { type Test, test } from 'tap'
import { collected } from '../../fixtures/garbage.js'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, makeReactor, serve, until } from '../../fixtures/reactor.js'

/** A function of its own, because a stack frame may keep references to its last values. */
async function listenAndClose(reactor: Reactor, references: WeakRef<object>[]): Promise<void> {
  const handlers: Handlers = { open() {}, close() {} }
  const listener = await reactor.listen({ host: '127.0.0.1', port: 0 }, handlers)
  references.push(new WeakRef(listener), new WeakRef(handlers))
  await listener.close()
}

test('a closed listener is collected, with its handlers', async (t) => {
  const reactor = makeReactor(t)
  const references: WeakRef<object>[] = []
  for (let i = 0; i < 20; i++) await listenAndClose(reactor, references)
  t.equal(await collected(references), 40)
})

async function listenInVain(reactor: Reactor, port: number, references: WeakRef<object>[]): Promise<unknown> {
  const handlers: Handlers = { open() {}, close() {} }
  references.push(new WeakRef(handlers))
  return reactor.listen({ host: '127.0.0.1', port }, handlers).catch((error: NodeJS.ErrnoException) => error.code)
}

test('the handlers of a failed listen() are collected', async (t) => {
  const { reactor, port } = await serve(t, {})
  const references: WeakRef<object>[] = []
  for (let i = 0; i < 20; i++) t.equal(await listenInVain(reactor, port, references), 'EADDRINUSE')
  t.equal(await collected(references), 20)
})

test('a closed listener is collected after its last connection', async (t) => {
  let listener: Listener | undefined
  const references: WeakRef<object>[] = []
  const reactor = makeReactor(t)
  const handlers: Handlers = {
    // The reference is dropped in `close`, as in a server.
    close() {
      listener = undefined
    },
  }
  listener = await reactor.listen({ host: '127.0.0.1', port: 0 }, handlers)
  references.push(new WeakRef(listener))
  const peer = await connectPeer(t, listener.port as number)
  await until(() => reactor.connections.size === 1)
  await listener.close()
  await fence(reactor)
  t.equal(listener.connections, 1, 'the listener is still needed')
  peer.end()
  await until(() => listener === undefined)
  t.equal(await collected(references), 1)
})

async function openAndClose(t: Test, reactor: Reactor, port: number, references: WeakRef<object>[]): Promise<void> {
  const peer = await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  for (const conn of reactor.connections.values()) references.push(new WeakRef(conn))
  peer.end()
  await until(() => reactor.connections.size === 0)
}

test('closed connections and their data are collected', async (t) => {
  const references: WeakRef<object>[] = []
  const { reactor, port } = await serve<object>(t, {
    open(conn: Connection<object>) {
      conn.data = {}
      references.push(new WeakRef(conn.data))
    },
  })
  for (let i = 0; i < 20; i++) await openAndClose(t, reactor, port, references)
  t.equal(references.length, 40)
  t.equal(await collected(references), 40)
})

async function useAndShutDown(references: WeakRef<object>[]): Promise<void> {
  const reactor = new Reactor({ maxConnections: 100 })
  const listener = await reactor.listen({ host: '127.0.0.1', port: 0 }, { data() {} })
  references.push(new WeakRef(reactor), new WeakRef(listener))
  await reactor.shutdown()
}

test('a reactor is collected after its shutdown', async (t) => {
  const references: WeakRef<object>[] = []
  for (let i = 0; i < 10; i++) await useAndShutDown(references)
  t.equal(await collected(references), 20)
})
