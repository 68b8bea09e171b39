import { relay } from 'c1m'
import { test } from 'tap'
import { move, threadOf } from '../../fixtures/move.js'
import { makeReactor, TRIGGERS } from '../../fixtures/reactor.js'
import { connectPair } from '../../fixtures/relay.js'

for (const trigger of TRIGGERS) {
  test(`relay() during a move excludes later broadcasts, and includes earlier ones (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger, ioThreads: 2 })
    const { a, b, peerA, peerB } = await connectPair(t, { reactor, listen: { placement: 'round-robin' } })
    t.not(threadOf(a), threadOf(b))
    const room = reactor.createGroup<undefined>()
    const moving = new Promise<boolean>((resolve) => {
      // `may` is called at the start of the move, which lasts until the I/O threads have replied.
      const may = () => {
        queueMicrotask(begin)
        return true
      }
      resolve(move(a, threadOf(b), may))
    })
    let relayed: ReturnType<typeof relay> | undefined
    function begin(): void {
      t.equal(threadOf(a), threadOf(b))
      room.add(a)
      room.add(b)
      void room.broadcast('before;')
      relayed = relay(a, b)
      void room.broadcast('behind;')
    }
    t.equal(await moving, true)
    peerA.socket.end('from a')
    peerB.socket.end('from b')
    t.match(await relayed, { bytesFromA: 6, bytesFromB: 6, reason: 'end' })
    await Promise.all([peerA.untilEnded(), peerB.untilEnded()])
    t.equal(peerA.text, 'before;from b')
    t.equal(peerB.text, 'before;from a')
  })
}
