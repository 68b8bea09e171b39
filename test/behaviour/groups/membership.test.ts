import { inspect } from 'node:util'
import type { Connection, Group } from 'c1m'
import { test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { fence, makeReactor, serve, until } from '../../fixtures/reactor.js'

async function some(t: Parameters<typeof serve>[0], count: number) {
  const closed: (() => void)[] = []
  const served = await serve<unknown>(t, { close: () => closed.forEach((tell) => void tell()) })
  const peers: Peer[] = []
  for (let i = 0; i < count; i++) {
    peers.push(await connectPeer(t, served.port))
    await until(() => served.reactor.connections.size === i + 1)
  }
  const conns = peers.map((peer) =>
    [...served.reactor.connections.values()].find((conn) => conn.remotePort === peer.port),
  ) as Connection[]
  return { ...served, peers, conns, closed }
}

const members = (group: Group) => new Set(group)

test('a group has the connections that were added and not deleted', async (t) => {
  const { reactor, conns } = await some(t, 3)
  const [a, b, c] = conns as [Connection, Connection, Connection]
  const group = reactor.createGroup()
  t.equal(group.size, 0)
  t.equal(group.has(a), false)
  t.equal(group.delete(a), false)
  t.equal(group.add(a), true)
  t.equal(group.add(a), true)
  t.equal(group.add(b), true)
  t.equal(group.add(c), true)
  t.equal(group.size, 3)
  t.strictSame(members(group), new Set([a, b, c]))
  t.strictSame(new Set(group.ids()), new Set([a.id, b.id, c.id]))
  t.equal(group.delete(a), true)
  t.equal(group.delete(a), false)
  t.equal(group.has(a), false)
  t.equal(group.has(c), true)
  t.strictSame(members(group), new Set([b, c]))
  for (const conn of group) group.delete(conn)
  t.equal(group.size, 0)
})

test('a broadcast reaches those that are members at the call', async (t) => {
  const { reactor, peers, conns } = await some(t, 3)
  const [a, b, c] = conns as [Connection, Connection, Connection]
  const group = reactor.createGroup()
  group.add(a)
  group.add(b)
  const first = group.broadcast('1')
  group.delete(a)
  group.add(c)
  const second = group.broadcast('2')
  group.clear()
  t.equal(group.size, 0)
  const third = group.broadcast('3')
  group.add(a)
  const fourth = group.broadcast('4', { except: b })
  const fifth = group.broadcast('AAAA', { except: a, encoding: 'base64' })
  t.strictSame(
    (await Promise.all([first, second, third, fourth, fifth])).map(({ reached }) => reached),
    [2, 2, 0, 1, 0],
  )
  for (const [i, bytes] of [2, 2, 1].entries()) await peers[i]?.untilBytes(bytes)
  await fence(reactor)
  t.strictSame(
    peers.map((peer) => peer.text),
    ['14', '12', '2'],
  )
})

test('a closing connection is in no group in its close handler', async (t) => {
  const { reactor, peers, conns, closed } = await some(t, 3)
  const [a, b, c] = conns as [Connection, Connection, Connection]
  const groups = Array.from({ length: 100 }, () => reactor.createGroup())
  for (const group of groups) for (const conn of conns) group.add(conn)
  const sizes: number[] = []
  const inThere: boolean[] = []
  closed.push(() => {
    sizes.push(...groups.map((group) => group.size))
    inThere.push(...groups.map((group) => group.has(b)))
  })
  peers[1]?.reset()
  await until(() => sizes.length > 0)
  t.strictSame(
    sizes,
    Array.from(groups, () => 2),
  )
  t.ok(inThere.every((is) => !is))
  t.equal(groups[0]?.add(b), false)
  for (const group of groups) t.strictSame(members(group), new Set([a, c]))
  // The next connection in its slot is in no group.
  const { port } = await serve<unknown>(t, {}, {}, reactor)
  const next = await connectPeer(t, port)
  await until(() => reactor.connections.size === 3)
  await groups[0]?.broadcast('hello')
  await peers[0]?.untilBytes(5)
  await fence(reactor)
  t.equal(next.length, 0)
})

test('a destroyed connection can’t be added', async (t) => {
  const { reactor, conns } = await some(t, 1)
  const [conn] = conns as [Connection]
  const group = reactor.createGroup()
  conn.destroy()
  t.equal(group.add(conn), false)
  t.equal(group.size, 0)
})

test('methods of a group reject bad arguments', async (t) => {
  const { reactor, conns } = await some(t, 1)
  const [conn] = conns as [Connection]
  const group = reactor.createGroup()
  const other = makeReactor(t).createGroup()
  for (const bad of [undefined, null, 1, {}, reactor]) {
    t.throws(() => group.add(bad as Connection), { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' })
    t.throws(() => group.has(bad as Connection), { code: 'ERR_C1M_INVALID_ARG_TYPE' })
    t.throws(() => group.delete(bad as Connection), { code: 'ERR_C1M_INVALID_ARG_TYPE' })
  }
  t.throws(() => other.add(conn), { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' })
  await t.rejects(group.broadcast({} as string), { code: 'ERR_C1M_INVALID_ARG_TYPE' })
  await t.rejects(group.broadcast('x', 1 as unknown as object), { code: 'ERR_C1M_INVALID_ARG_TYPE' })
  await t.rejects(group.broadcast('x', { except: 1 as unknown as Connection }), { code: 'ERR_C1M_INVALID_ARG_TYPE' })
  await t.rejects(group.broadcast('x', { exept: conn } as object), { code: 'ERR_C1M_INVALID_ARG_VALUE' })
  t.equal(inspect(group), 'Group(0)')
  await t.rejects(group.broadcast('x', { encoding: 'none' as 'utf8' }), { code: 'ERR_C1M_INVALID_ARG_VALUE' })
})

test('a connection can be in very many groups', async (t) => {
  const { reactor, peers, conns, closed } = await some(t, 2)
  const [a, b] = conns as [Connection, Connection]
  const groups = Array.from({ length: 100 }, () => reactor.createGroup())
  for (const group of groups) {
    t.equal(group.add(a), true)
    t.equal(group.add(a), true)
    group.add(b)
  }
  t.strictSame(new Set(groups.map((group) => group.size)), new Set([2]))
  for (const group of groups.slice(0, 50)) {
    t.equal(group.delete(a), true)
    t.equal(group.delete(a), false)
  }
  t.strictSame(
    groups.map((group) => group.has(a)),
    groups.map((_, index) => index >= 50),
  )
  t.ok(groups.every((group) => group.has(b)))
  t.equal((await (groups[60] as Group).broadcast('x')).reached, 2)
  // It leaves all groups, and joins some again.
  for (const group of groups.slice(50)) group.delete(a)
  for (const group of groups.slice(0, 40)) group.add(a)
  t.equal(groups.filter((group) => group.has(a)).length, 40)
  closed.push(() => {
    t.equal(groups.filter((group) => group.has(a)).length, 0, 'in none in its close handler')
  })
  peers[0]?.socket.resetAndDestroy()
  await until(() => reactor.connections.size === 1)
  closed.length = 0
  t.strictSame(new Set(groups.map((group) => group.size)), new Set([1]))
  for (const group of groups) group.clear()
  t.strictSame(new Set(groups.map((group) => group.size)), new Set([0]))
})

test('the time to join and leave does not depend on the number of groups', async (t) => {
  const { reactor, conns } = await some(t, 1)
  const conn = conns[0] as Connection
  const times = [1000, 32_000].map((count) => {
    const groups = Array.from({ length: count }, () => reactor.createGroup())
    const rounds = 32_000 / count
    const start = process.hrtime.bigint()
    for (let round = 0; round < rounds; round++) {
      for (const group of groups) group.add(conn)
      for (const group of groups) group.delete(conn)
    }
    return Number(process.hrtime.bigint() - start)
  }) as [number, number]
  // Both times are for the same number of calls. A search through all groups would take 32 times as long.
  t.ok(times[1] < 10 * times[0], `${times} ns`)
})
