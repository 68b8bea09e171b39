import type { Connection, SocketOptions } from 'c1m'
import { type Test, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, until } from '../../fixtures/reactor.js'

async function openTwo(t: Test): Promise<[Connection<undefined>, Connection<undefined>]> {
  const conns: Connection<undefined>[] = []
  const { port } = await serve(t, { open: (conn) => void conns.push(conn) })
  await connectPeer(t, port)
  await connectPeer(t, port)
  await until(() => conns.length === 2)
  return conns as [Connection<undefined>, Connection<undefined>]
}

test('setOptions() sets options of one connection, and resolves with the applied values', async (t) => {
  const [conn, other] = await openTwo(t)
  const before = await other.getOptions()
  const applied = await conn.setOptions({
    noDelay: true,
    keepAlive: { idleMs: 2500, intervalMs: 3000, count: 5 },
    userTimeoutMs: 12_345,
    congestion: 'reno',
    ipTos: 0x20,
    notSentLowAtBytes: 4096,
    sendBufferBytes: 50_000,
    receiveBufferBytes: 50_000,
    lingerMs: 0,
  })
  t.match(applied, {
    noDelay: true,
    keepAlive: { idleMs: 3000, intervalMs: 3000, count: 5 },
    userTimeoutMs: 12_345,
    congestion: 'reno',
    ipTos: 0x20,
    notSentLowAtBytes: 4096,
    sendBufferBytes: 100_000,
    receiveBufferBytes: 100_000,
    lingerMs: 0,
  })
  t.strictSame(await conn.getOptions(), applied)
  t.strictSame(await other.getOptions(), before, 'the other connection has its own')
  const back = await conn.setOptions({ noDelay: false, keepAlive: false, lingerMs: false, userTimeoutMs: 0 })
  t.match(back, { noDelay: false, keepAlive: false, lingerMs: false, userTimeoutMs: 0, congestion: 'reno' })
})

test('setOptions() with an option of listeners rejects, and names it', async (t) => {
  const [conn] = await openTwo(t)
  const before = await conn.getOptions()
  for (const options of [{ deferAcceptMs: 1000 }, { fastOpen: true }, { incomingCpu: 0 }] as SocketOptions[]) {
    const [name] = Object.keys(options)
    await t.rejects(conn.setOptions({ noDelay: true, ...options }), {
      name: 'C1mError',
      code: 'ERR_C1M_UNSUPPORTED_OPTION',
      message: new RegExp(`"${name}"`),
    })
  }
  t.strictSame(await conn.getOptions(), before, 'nothing was set')
})

test('setOptions() with an unknown congestion control rejects, and keeps the options set before it', async (t) => {
  const [conn] = await openTwo(t)
  await t.rejects(conn.setOptions({ noDelay: true, congestion: 'no-such' }), {
    code: 'ENOENT',
    errno: -2,
    syscall: 'setsockopt',
    message: /"congestion"/,
  })
  t.match(await conn.getOptions(), { noDelay: true })
})

test('getOptions() and setOptions() are executed in order', async (t) => {
  const [conn] = await openTwo(t)
  const seen: (boolean | undefined)[] = []
  const note = async (promise: Promise<{ readonly noDelay?: boolean }>) => void seen.push((await promise).noDelay)
  await Promise.all([
    note(conn.getOptions()),
    note(conn.setOptions({ noDelay: true })),
    note(conn.getOptions()),
    note(conn.setOptions({ noDelay: false })),
    note(conn.getOptions()),
  ])
  t.strictSame(seen, [false, true, true, false, false])
})

test('setOptions() rejects after destroy(), and an earlier getOptions() resolves', async (t) => {
  const [conn] = await openTwo(t)
  const asked = conn.getOptions()
  conn.destroy()
  const [before, after] = await Promise.allSettled([asked, conn.setOptions({ noDelay: true })])
  t.match(before, { status: 'fulfilled', value: { noDelay: false } }, 'called before destroy()')
  t.match(after, { status: 'rejected', reason: { code: 'ERR_C1M_CONNECTION_CLOSED' } })
})
