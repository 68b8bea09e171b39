import { AsyncLocalStorage } from 'node:async_hooks'
import type { Connection } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, makeReactor, serve, until } from '../../fixtures/reactor.js'

const storage = new AsyncLocalStorage<string>()

test('handlers of connect() run with the store of its caller', async (t) => {
  const { port } = await serve(t, {
    data(conn, chunk) {
      conn.end(chunk)
    },
  })
  const reactor = makeReactor(t)
  const seen: string[] = []
  let closed = 0
  const note = (name: string) => void seen.push(`${name} ${storage.getStore()}`)
  const handlers = {
    open: () => note('open'),
    data: () => note('data'),
    end(this: unknown) {
      t.equal(this, handlers)
      note('end')
    },
    close: () => {
      note('close')
      closed++
    },
  }
  for (const who of ['one', 'two']) {
    await storage.run(who, async () => {
      const conn = await reactor.connect({ host: '127.0.0.1', port }, handlers)
      note('promise')
      conn.write('hello')
    })
  }
  await until(() => closed === 2)
  for (const who of ['one', 'two']) {
    const names = seen.filter((line) => line.endsWith(` ${who}`)).map((line) => line.split(' ')[0])
    t.strictSame(names, ['open', 'promise', 'data', 'end', 'close'])
  }
  t.equal(seen.length, 10)
})

test('handlers of connect() can be replaced on their object', async (t) => {
  const { port } = await serve(t, { open: (conn) => void conn.write('one') })
  const seen: string[] = []
  const handlers: { data?: (conn: Connection, chunk: Buffer) => void; end?: () => void } = {
    data: () => {
      seen.push('first')
      handlers.data = () => seen.push('second')
      handlers.end = () => seen.push('end')
    },
  }
  const conn = await makeReactor(t).connect({ host: '127.0.0.1', port }, handlers)
  await until(() => seen.length === 1)
  conn.end()
  await until(() => conn.closed)
  t.strictSame(seen, ['first', 'end'])
})

test('buffered events are delivered in the context of other events, not in that of resume()', async (t) => {
  const seen: string[] = []
  let conn: Connection | undefined
  const note = (name: string) => void seen.push(`${name} ${storage.getStore()}`)
  const { port, reactor } = await serve<unknown>(t, {
    open(opened) {
      conn = opened
    },
    data(_conn, chunk) {
      note(chunk.toString())
      if (seen.length === 1) conn?.pause()
    },
    end: () => note('end'),
    close: () => note('close'),
    shutdown(opened) {
      note('shutdown')
      opened.end()
    },
  })
  const peer = await connectPeer(t, port)
  for (const text of ['first', 'second', 'third']) await peer.flush(text)
  await until(() => seen.length === 1)
  peer.end()
  await fence(reactor)
  storage.run('of whoever resumed', () => conn?.resume())
  await until(() => seen.some((line) => line.startsWith('close')))
  const other = await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  await storage.run('of whoever shuts down', async () => {
    const done = reactor.shutdown()
    await until(() => seen.some((line) => line.startsWith('shutdown')))
    other.end()
    await done
  })
  t.strictSame(
    seen.filter((line) => !line.endsWith(' undefined')),
    [],
  )
})
