import { setTimeout as sleep } from 'node:timers/promises'
import { type Test, t as tap, test } from 'tap'
import { type Child, startChild } from '../../fixtures/child.js'
import { ask, untilChildSays } from '../../fixtures/facts.js'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { TRIGGERS, until } from '../../fixtures/reactor.js'

// Each server is a process of its own.
tap.jobs = 2

/** Few, but more than Node needs for itself. */
const LIMIT = 64

interface Facts {
  readonly connections: number
  readonly accepted: number
  readonly shed: number
  readonly saturations: number
  readonly acceptErrors: number
  readonly turns: number
  readonly cpuMicros: number
  readonly saturated: readonly string[]
}

function untilFacts(child: Child, holds: (facts: Facts) => boolean, what: string): Promise<Facts> {
  return untilChildSays<Facts>(child, holds, what, 20_000)
}

async function connectSome(t: Test, port: number, count: number): Promise<Peer[]> {
  return Promise.all(Array.from({ length: count }, () => connectPeer(t, port)))
}

/** Writes, and waits for the echo or a close. Resolves with true if the echo came. */
async function isServed(peer: Peer): Promise<boolean> {
  const before = peer.length
  peer.write('hello')
  await until(() => peer.length === before + 5 || peer.closed || peer.ended, 'an echo or the end')
  return peer.length === before + 5
}

for (const trigger of TRIGGERS) {
  test(`without descriptors a reactor sheds, serves the open connections, and recovers (${trigger})`, async (t) => {
    const child = startChild(t, 'few-descriptors', { descriptors: LIMIT, args: [trigger] })
    const port = await child.next<number>()

    const first = await connectSome(t, port, LIMIT)
    const full = await untilFacts(child, ({ shed }) => shed > 2, 'shedding')
    t.strictSame(full.saturated, ['EMFILE'], 'one event')
    t.equal(full.saturations, 1)
    t.ok(full.connections > 10 && full.connections < LIMIT)
    await until(
      () => first.filter((peer) => peer.ended || peer.closed).length > 2,
      'a client that was shed sees its end',
    )
    t.equal(first.filter((peer) => peer.length > 0).length, 0)

    // The backlog still has clients: a loop that spins would need the whole second.
    const before = await ask<Facts>(child)
    await sleep(1000)
    const after = await ask<Facts>(child)
    t.ok(after.cpuMicros - before.cpuMicros < 100_000, `${after.cpuMicros - before.cpuMicros} µs of CPU in a second`)
    t.ok(after.acceptErrors - before.acceptErrors < 50, 'retries are rare')
    t.equal(after.saturations, 1, 'the same phase')
    t.equal(after.connections, full.connections)

    // The open connections are still served.
    for (const peer of first.slice(0, 5)) t.equal(await isServed(peer), true)

    // With free descriptors each client that still waits is served.
    for (const peer of first.slice(0, full.connections)) peer.end()
    const served = await Promise.all(first.slice(full.connections).map(isServed))
    const drained = await untilFacts(child, ({ accepted }) => accepted > full.accepted, 'accepting again')
    t.equal(served.filter(Boolean).length, drained.accepted - full.accepted)
    t.equal(served.filter((was) => !was).length, drained.shed)
    t.equal(drained.saturations, 1)
    for (const peer of first) peer.end()
    await untilFacts(child, ({ connections }) => connections === 0, 'the end of all')

    // A new shortage is a new event.
    await connectSome(t, port, LIMIT)
    const again = await untilFacts(child, ({ saturated }) => saturated.length > 1, 'a second phase')
    t.strictSame(again.saturated, ['EMFILE', 'EMFILE'])
    child.tell('shutdown')
    t.strictSame(await child.next(), 'shut down')
    t.strictSame(await child.untilExit(), { code: 0, signal: null })
  })
}
