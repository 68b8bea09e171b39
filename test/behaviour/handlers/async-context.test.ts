import { AsyncLocalStorage, createHook, executionAsyncId } from 'node:async_hooks'
import { test } from 'tap'
import { collectGarbage } from '../../fixtures/garbage.js'
import { connectPeer } from '../../fixtures/peer.js'
import { blockUntil, makeReactor, serve, until } from '../../fixtures/reactor.js'

test('an AsyncLocalStorage follows the operations that each handler starts', async (t) => {
  const storage = new AsyncLocalStorage<number>()
  const seen: (number | undefined)[] = []
  let number = 0
  const { port } = await serve<number>(t, {
    open(conn) {
      conn.data = ++number
    },
    data(conn) {
      storage.run(conn.data, () => {
        setTimeout(() => seen.push(storage.getStore()), 1)
        queueMicrotask(() => seen.push(storage.getStore()))
        process.nextTick(() => seen.push(storage.getStore()))
        void conn.tcpInfo().then(() => seen.push(storage.getStore()))
      })
    },
  })
  const peers = await Promise.all(Array.from({ length: 10 }, () => connectPeer(t, port)))
  for (const peer of peers) peer.write('go')
  await until(() => seen.length === 40)
  const counts = new Map<number | undefined, number>()
  for (const store of seen) counts.set(store, (counts.get(store) ?? 0) + 1)
  t.strictSame(
    [...counts].sort(([a = 0], [b = 0]) => a - b),
    Array.from({ length: 10 }, (_, at) => [at + 1, 4]),
  )
})

test('the continuation of a request has the store of its caller', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const reactor = makeReactor(t)
  const store = await storage.run('mine', async () => {
    const listener = await reactor.listen({ host: '127.0.0.1', port: 0 }, {})
    await listener.close()
    return storage.getStore()
  })
  t.equal(store, 'mine')
})

test('with async hooks, handlers run in a context of type c1m', async (t) => {
  const types = new Map<number, string>()
  const hook = createHook({
    init: (id, type) => void types.set(id, type),
    before() {},
    after() {},
  })
  hook.enable()
  t.teardown(() => hook.disable())
  const contexts: (string | undefined)[] = []
  const { reactor, port } = await serve(t, {
    data(conn, chunk) {
      contexts.push(types.get(executionAsyncId()))
      conn.end(chunk)
    },
  })
  const peer = await connectPeer(t, port)
  peer.write('hello')
  await peer.untilEnded()
  peer.end()
  await until(() => reactor.connections.size === 0)
  t.strictSame(contexts, ['c1m'])
})

test('handlers have the store in which the reactor was made, also after a garbage collection', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const reactor = storage.run('mine', () => makeReactor(t))
  const stores: (string | undefined)[] = []
  const data = () => void stores.push(storage.getStore())
  const listener = await reactor.listen({ host: '127.0.0.1', port: 0 }, { data })
  const peer = await connectPeer(t, listener.port as number)
  for (let count = 1; count <= 2; count++) {
    peer.write('hello')
    await until(() => stores.length === count)
    await collectGarbage()
  }
  t.strictSame(stores, ['mine', 'mine'])
})

test('handlers have the reactor’s store also after one that has thrown in the same batch', async (t) => {
  const thrown: unknown[] = []
  const note = (error: unknown) => void thrown.push(error)
  process.on('uncaughtException', note)
  t.teardown(() => process.off('uncaughtException', note))
  const storage = new AsyncLocalStorage<string>()
  const reactor = storage.run('mine', () => makeReactor(t))
  const stores: (string | undefined)[] = []
  const data = () => {
    stores.push(storage.getStore())
    throw new Error('of a handler')
  }
  const listener = await reactor.listen({ host: '127.0.0.1', port: 0 }, { data })
  const peers = await Promise.all(Array.from({ length: 3 }, () => connectPeer(t, listener.port as number)))
  await until(() => reactor.connections.size === 3)
  for (const peer of peers) peer.write('hello')
  blockUntil(() => reactor.stats().bytesRead === 15)
  await until(() => thrown.length === 3)
  t.strictSame(stores, ['mine', 'mine', 'mine'])
})
