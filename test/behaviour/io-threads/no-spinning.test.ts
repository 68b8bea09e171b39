import { setTimeout as sleep } from 'node:timers/promises'
import type { Reactor } from 'c1m'
import { type Test, t as tap, test } from 'tap'
import { OneBatch } from '../../fixtures/batch.js'
import { connectPeer } from '../../fixtures/peer.js'
import { block, fence, quiet, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

// Each test mostly waits for a time to pass.
tap.jobs = 3

/** More than a quiet loop needs for its odd wake-up, and far fewer than one that spins makes. */
const FEW_TURNS = 50

/** Checks that the I/O thread makes few turns while `wait` runs, by its shared counter. */
async function expectFewTurns(t: Test, reactor: Reactor, wait: () => void | Promise<void>): Promise<void> {
  const before = reactor.stats().turns
  await wait()
  const turns = reactor.stats().turns - before
  t.ok(turns < FEW_TURNS, `${turns} turns`)
}

for (const trigger of TRIGGERS) {
  test(`an idle connection causes no turns (${trigger})`, async (t) => {
    const { port, reactor } = await serve(t, {}, {}, { trigger })
    await connectPeer(t, port)
    await fence(reactor)
    await expectFewTurns(t, reactor, () => sleep(200))
  })

  test(`a paused connection with unread data and both FINs causes no turns (${trigger})`, async (t) => {
    const { port, reactor } = await serve<unknown>(
      t,
      {
        open(conn) {
          conn.pause()
          conn.end('bye')
        },
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await peer.untilEnded()
    peer.end('unread')
    await fence(reactor)
    t.equal(reactor.connections.size, 1)
    await expectFewTurns(t, reactor, () => sleep(200))
  })

  test(`a queue that its peer does not read causes no turns (${trigger})`, async (t) => {
    const { port, reactor } = await serve<unknown>(
      t,
      { open: (conn) => void conn.write(Buffer.alloc(12 * 1024 * 1024)) },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.socket.pause()
    await quiet(reactor)
    await expectFewTurns(t, reactor, () => sleep(200))
  })

  // By itself: it holds up the JS thread.
  test(`data, FINs and resets while all batches are full (${trigger})`, { buffered: false }, async (t) => {
    const { port, reactor } = await serve<unknown>(t, {}, {}, { trigger })
    const together = await OneBatch.prepare(t, port)
    const peers = await Promise.all(Array.from({ length: 4 }, () => connectPeer(t, port)))
    await until(() => reactor.connections.size === 5)
    const turns: number[] = []
    together.run(() => {
      for (const peer of peers) peer.write('unread')
      peers[0]?.reset()
      peers[1]?.socket.destroy()
      block(20)
      turns.push(reactor.stats().turns)
      block(200)
      turns.push(reactor.stats().turns)
    })
    const [before, after] = turns as [number, number]
    t.ok(after - before < FEW_TURNS, `${after - before} turns`)
    await until(() => reactor.connections.size === 3)
  })
}
