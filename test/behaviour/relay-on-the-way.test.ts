import { relay } from 'c1m'
import { test } from 'tap'
import { temporaryFile } from '../fixtures/file.js'
import { move, threadOf } from '../fixtures/move.js'
import { makeReactor, TRIGGERS, until } from '../fixtures/reactor.js'
import { connectPair } from '../fixtures/relay.js'

for (const trigger of TRIGGERS) {
  test(`a broadcast behind the call of relay(), one end being on its way to the other's thread (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger, ioThreads: 2 })
    const { a, b, peerA, peerB } = await connectPair(t, { reactor, listen: { placement: 'round-robin' } })
    t.not(threadOf(a), threadOf(b))
    const room = reactor.createGroup<undefined>()
    // While a file is being sent it doesn't leave.
    peerA.socket.pause()
    const { path, content } = temporaryFile(t, 16 << 20)
    const sending = a.sendFile(path)
    const moving = move(a, threadOf(b))
    await until(() => threadOf(a) === threadOf(b))
    room.add(a)
    room.add(b)
    void room.broadcast('before;')
    const relayed = relay(a, b)
    void room.broadcast('behind;')
    peerA.socket.resume()
    peerA.socket.end('from a')
    peerB.socket.end('from b')
    t.equal(await sending, content.length)
    t.equal(await moving, true)
    t.match(await relayed, { bytesFromA: 6, bytesFromB: 6, reason: 'end' })
    await Promise.all([peerA.untilEnded(), peerB.untilEnded()])
    t.equal(peerA.text.slice(content.length), 'before;from b')
    t.equal(peerB.text, 'before;from a')
  })
}
