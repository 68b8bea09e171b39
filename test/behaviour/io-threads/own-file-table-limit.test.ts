import type { Placement } from 'c1m'
import { type Test, t as tap, test } from 'tap'
import { type Child, startChild } from '../../fixtures/child.js'
import { ask, untilChildSays } from '../../fixtures/facts.js'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { until } from '../../fixtures/reactor.js'

// Each server is a process of its own.
tap.jobs = 2

/** RLIMIT_NOFILE of the server. */
const LIMIT = 64

interface Facts {
  readonly connections: number
  readonly accepted: number
  readonly shed: number
  readonly saturations: number
  readonly saturated: readonly string[]
  readonly perThread: readonly number[]
  readonly descriptors: readonly number[]
}

function untilFacts(child: Child, holds: (facts: Facts) => boolean, what: string): Promise<Facts> {
  return untilChildSays<Facts>(child, holds, what, 60_000)
}

/** Connects peers from many addresses. */
function connectSome(t: Test, port: number, count: number): Promise<Peer[]> {
  const from = (at: number) => ({ localAddress: `127.0.1.${1 + (at % 200)}` })
  return Promise.all(Array.from({ length: count }, (_, at) => connectPeer(t, port, from(at))))
}

async function echo(peer: Peer, text: string): Promise<void> {
  const before = peer.length
  peer.write(text)
  await peer.untilBytes(before + text.length)
}

// 4 threads of 64 descriptors each. Placements by chance get fewer connections, because one thread may get more than
// the others; with `cpu` all may be on the CPU that the clients run on.
const counts: readonly (readonly [Placement, number])[] = [
  ['least-connections', 180],
  ['round-robin', 180],
  ['source-hash', 100],
  ['reuse-port', 100],
  ['cpu', 40],
]

for (const [placement, count] of counts) {
  test(`a process limited to ${LIMIT} descriptors holds ${count} connections: ${placement}`, async (t) => {
    const child = startChild(t, 'own-file-table', { descriptors: LIMIT, args: ['4', placement] })
    const peers = await connectSome(t, await child.next<number>(), count)
    await Promise.all(peers.map((peer, at) => echo(peer, `hello ${at}`)))
    for (const [at, peer] of peers.entries()) t.equal(peer.text, `hello ${at}`)
    const facts = await ask<Facts>(child)
    t.equal(facts.connections, count)
    t.equal(facts.shed, 0)
    t.equal(facts.descriptors.length, 4)
    for (const [at, descriptors] of facts.descriptors.entries())
      t.ok(descriptors < (facts.perThread[at] ?? 0) + 16, 'a thread has hardly more descriptors than connections')

    child.tell('shutdown')
    await Promise.all(peers.map((peer) => peer.untilEnded()))
    t.equal(await child.next(), 'shut down')
    t.strictSame(await child.untilExit(), { code: 0, signal: null })
    t.equal(child.stderr, '')
  })
}

test('full threads reject connections, report it once, and accept again when descriptors are free', async (t) => {
  const child = startChild(t, 'own-file-table', { descriptors: LIMIT, args: ['2', 'round-robin'] })
  const port = await child.next<number>()
  const first = await connectSome(t, port, 3 * LIMIT)
  const full = await untilFacts(child, ({ shed }) => shed > 2, 'shedding')
  t.ok(full.connections > LIMIT && full.connections < 2 * LIMIT, `${full.connections} of two tables`)
  t.ok(full.saturated.every((code) => code === 'EMFILE'))
  const gone = () => first.filter((peer) => peer.gone).length
  await until(() => gone() > 2, 'a rejected client sees its end')

  for (const peer of first) peer.end()
  const all = (facts: Facts) => facts.connections === 0 && facts.accepted + facts.shed === 3 * LIMIT
  await untilFacts(child, all, 'the end of all, including those in the backlog')
  const peers = await connectSome(t, port, LIMIT)
  await Promise.all(peers.map((peer) => echo(peer, 'hello')))
  t.equal((await ask<Facts>(child)).connections, LIMIT)
  child.tell('shutdown')
  t.equal(await child.next(), 'shut down')
})

test('a full thread rejects connections that another thread hands over', async (t) => {
  const child = startChild(t, 'own-file-table', { descriptors: LIMIT, args: ['2', 'source-hash'] })
  const port = await child.next<number>()
  // An address of each thread; the first thread accepts.
  const sources: string[] = []
  for (let last = 1; sources[0] === undefined || sources[1] === undefined; last++) {
    const localAddress = `127.0.2.${last}`
    const before = (await ask<Facts>(child)).perThread
    const peer = await connectPeer(t, port, { localAddress })
    await echo(peer, 'whose')
    const after = (await ask<Facts>(child)).perThread
    sources[after[0] === before[0] ? 1 : 0] = localAddress
    peer.end()
    await untilFacts(child, ({ connections }) => connections === 0, 'its end')
  }
  const some = (count: number, localAddress: string) =>
    Promise.all(Array.from({ length: count }, () => connectPeer(t, port, { localAddress })))
  const many = await some(2 * LIMIT, sources[1] as string)
  const full = await untilFacts(child, ({ connections, shed }) => connections + shed === 2 * LIMIT, 'all decided')
  t.ok(full.shed > LIMIT && (full.perThread[1] ?? 0) > LIMIT / 2, JSON.stringify(full))
  t.strictSame(full.saturated, ['EMFILE'])
  await until(() => many.filter((peer) => peer.gone).length === full.shed, 'rejected clients see their end')
  const [other] = await some(1, sources[0] as string)
  await echo(other as Peer, 'hello')
  await Promise.all(many.filter((peer) => !peer.gone).map((peer) => echo(peer, 'hello')))

  for (const peer of many) peer.end()
  await untilFacts(child, ({ connections }) => connections === 1, 'the end of all')
  const [again] = await some(1, sources[1] as string)
  await echo(again as Peer, 'hello')
})
