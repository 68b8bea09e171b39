import type { Connection } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, until } from '../../fixtures/reactor.js'

const host = '127.0.0.1'

test('a `data` function of listen() is called once for each connection, before `open`', async (t) => {
  for (const ioThreads of [1, 3]) {
    const reactor = makeReactor(t, { ioThreads })
    const seen: number[] = []
    let made = 0
    const listener = await reactor.listen(
      { host, port: 0, data: (conn: Connection<{ n: number; of: unknown }>) => ({ n: ++made, of: conn.id }) },
      {
        open(conn) {
          seen.push(conn.data.n)
          t.equal(conn.data.of, conn.id)
        },
      },
    )
    for (let i = 0; i < 4; i++) await connectPeer(t, listener.port as number)
    await until(() => seen.length === 4)
    t.strictSame([...seen].sort(), [1, 2, 3, 4])
    t.equal(made, 4)
  }
})

test('a `data` value is shared by all connections, including those without handlers', async (t) => {
  const reactor = makeReactor(t)
  const room = { name: 'lobby' }
  const listener = await reactor.listen({ host, port: 0, data: room })
  await connectPeer(t, listener.port as number)
  await connectPeer(t, listener.port as number)
  await until(() => reactor.connections.size === 2)
  for (const conn of reactor.connections.values()) t.equal(conn.data, room)
})

test('the `data` of connect() is set before `open`, and may be any value', async (t) => {
  const reactor = makeReactor(t)
  const listener = await reactor.listen({ host, port: 0 })
  for (const data of [{ tries: 1 }, 0, '', null, () => 'not called']) {
    const seen: unknown[] = []
    const conn = await reactor.connect(
      { host, port: listener.port as number, data: data as unknown },
      { open: (conn) => void seen.push(conn.data) },
    )
    t.strictSame([seen[0], conn.data], [data, data])
  }
})

test('an exception of a `data` function goes to `error`, and the connection opens without data', async (t) => {
  const reactor = makeReactor(t)
  const log: string[] = []
  const listener = await reactor.listen<string>(
    {
      host,
      port: 0,
      data: () => {
        throw new Error('no data')
      },
    },
    {
      open: (conn) => void log.push(`open ${conn.data}`),
      error: (_conn, error) => void log.push((error as Error).message),
    },
  )
  await connectPeer(t, listener.port as number)
  await until(() => log.length === 2)
  t.strictSame(log, ['no data', 'open undefined'])
})

test('a `data` function is called once, and may find the connection and add it to groups', async (t) => {
  const reactor = makeReactor(t)
  const room = reactor.createGroup<{ n: number }>()
  const seen: unknown[] = []
  let made = 0
  const listener = await reactor.listen<{ n: number }>(
    {
      host,
      port: 0,
      data: (conn) => {
        made++
        seen.push(
          room.add(conn),
          reactor.connections.get(conn.id) === conn,
          [...reactor.connections.values()][0] === conn,
        )
        return { n: made }
      },
    },
    { open: (conn) => void seen.push(conn.data.n, [...room][0] === conn) },
  )
  await connectPeer(t, listener.port as number)
  await until(() => seen.length === 5)
  t.strictSame(seen, [true, true, true, 1, true])
  t.equal(made, 1)
})

test('when a `data` function destroys the connection, only `close` is called', async (t) => {
  const reactor = makeReactor(t)
  const log: string[] = []
  const listener = await reactor.listen<number>(
    {
      host,
      port: 0,
      data: (conn) => {
        conn.destroy()
        return 1
      },
    },
    { data: () => void log.push('data'), close: (conn) => void log.push(`close ${conn.data}`) },
  )
  const peer = await connectPeer(t, listener.port as number)
  peer.write('hello')
  await until(() => log.length > 0)
  t.strictSame(log, ['close 1'])
})
