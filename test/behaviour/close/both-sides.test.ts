import type { Connection } from 'c1m'
import { test } from 'tap'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { fresh } from '../../fixtures/random.js'
import { fence, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

type Way = 'end' | 'destroy' | 'reset'
const OURS: readonly Way[] = ['end', 'destroy', 'reset']
const THEIRS: readonly Way[] = ['end', 'destroy', 'reset']

function hangUp(peer: Peer, way: Way): void {
  if (way === 'end') peer.end('bye')
  if (way === 'destroy') peer.socket.destroy()
  if (way === 'reset') peer.reset()
}

for (const trigger of TRIGGERS) {
  test(`each connection closes once when both sides close at the same time (${trigger})`, async (t) => {
    const random = fresh(t)
    const closes = new Map<string, string[]>()
    const conns = new Map<string, Connection>()
    const afterClose: string[] = []
    const name = (conn: Connection) => `${conn.remotePort}`
    const { port, reactor } = await serve(
      t,
      {
        open(conn) {
          conns.set(name(conn as Connection), conn as Connection)
          closes.set(name(conn as Connection), [])
        },
        data(conn) {
          if (closes.get(name(conn as Connection))?.length) afterClose.push('data')
        },
        end(conn) {
          if (closes.get(name(conn as Connection))?.length) afterClose.push('end')
        },
        close(conn, error) {
          closes.get(name(conn as Connection))?.push(error?.code ?? 'regular')
        },
      },
      {},
      { trigger },
    )
    const pairs = OURS.flatMap((ours) => THEIRS.map((theirs) => ({ ours, theirs })))
    const cases = Array.from({ length: 20 }, () => pairs).flat()
    const peers = await Promise.all(cases.map(() => connectPeer(t, port)))
    await until(() => conns.size === cases.length)
    for (const [i, { ours, theirs }] of cases.entries()) {
      const peer = peers[i] as Peer
      const conn = conns.get(`${peer.port}`) as Connection
      peer.write('some')
      conn.write('some')
      const acts = [() => void conn[ours](), () => hangUp(peer, theirs)]
      if (random.next() < 0.5) acts.reverse()
      for (const act of acts) act()
    }
    await until(() => reactor.connections.size === 0, 'all connections closed')
    await fence(reactor)
    t.equal(closes.size, cases.length)
    t.strictSame(
      [...closes.values()].filter((each) => each.length !== 1),
      [],
    )
    t.strictSame(afterClose, [])
    for (const [i, { ours, theirs }] of cases.entries()) {
      if (ours !== 'end' || theirs !== 'end') continue
      const peer = peers[i] as Peer
      await peer.untilEnded()
      t.strictSame(closes.get(`${peer.port}`), ['regular'])
      if (peer.text !== 'some' || peer.error !== undefined) t.fail(`the peer got ${peer.text}, ${peer.error}`)
    }
    await until(() => reactor.stats().closed === cases.length)
    t.equal(reactor.stats().accepted, cases.length)
  })
}
