import { closeSync, openSync, writeSync } from 'node:fs'
import { test } from 'tap'
import { openDescriptors } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makePipe, readAll } from '../../fixtures/pipe.js'
import { block, blockUntil, fence, makeReactor, serve, turns, until } from '../../fixtures/reactor.js'

test('a shutdown ends watches, and keeps their descriptors open', async (t) => {
  const before = openDescriptors()
  const reactor = makeReactor(t)
  const { reader, writer } = makePipe(t)
  let calls = 0
  const watch = reactor.watch(reader, { readable: true }, () => {
    calls++
  })
  const down = reactor.shutdown()
  t.equal(watch.active, false)
  writeSync(writer, 'x')
  await down
  await turns()
  t.equal(calls, 0)
  t.equal(readAll(reader), 'x')
  t.throws(() => reactor.watch(reader, { readable: true }, () => {}), { code: 'ERR_C1M_REACTOR_CLOSED' })
  t.equal(openDescriptors(), before + 2, 'the reactor has no descriptor left')
})

test('after unwatch() the handler isn’t called, not even for an edge in flight', async (t) => {
  const reactor = makeReactor(t)
  const { reader, writer } = makePipe(t)
  let calls = 0
  const watch = reactor.watch(reader, { readable: true }, () => {
    calls++
  })
  await fence(reactor)
  const { turns: before } = reactor.stats()
  writeSync(writer, 'x')
  blockUntil(() => reactor.stats().turns > before)
  watch.unwatch()
  watch.unwatch()
  await fence(reactor)
  t.equal(calls, 0)
  t.equal(readAll(reader), 'x', 'the descriptor is still open')
})

test('a second watch() of a descriptor reports bytes that are already there', async (t) => {
  const reactor = makeReactor(t)
  const { reader, writer } = makePipe(t)
  const log: string[] = []
  const first = reactor.watch(reader, { readable: true }, () => log.push('first'))
  t.throws(() => reactor.watch(reader, { readable: true }, () => {}), { code: 'EEXIST', syscall: 'epoll_ctl' })
  await fence(reactor)
  const { turns: before } = reactor.stats()
  writeSync(writer, 'x')
  blockUntil(() => reactor.stats().turns > before)
  first.unwatch()
  reactor.watch(reader, { readable: true }, (_events, watch) => {
    log.push('second')
    watch.unwatch()
  })
  await until(() => log.length > 0)
  writeSync(writer, 'y')
  await fence(reactor)
  t.strictSame(log, ['second'])
})

test('a watch that another handler of the same batch ends isn’t called', async (t) => {
  const reactor = makeReactor(t)
  const pipes = [makePipe(t), makePipe(t)]
  let calls = 0
  const watches = pipes.map(({ reader }) =>
    reactor.watch(reader, { readable: true }, () => {
      calls++
      for (const watch of watches) watch.unwatch()
    }),
  )
  for (const { writer } of pipes) writeSync(writer, 'x')
  block(50)
  await until(() => calls > 0)
  await fence(reactor)
  t.equal(calls, 1)
})

test('an exception of a watch’s handler is uncaught, and other watches are still called', async (t) => {
  const reactor = makeReactor(t)
  const pipes = [makePipe(t), makePipe(t)]
  const thrown: unknown[] = []
  const calls: number[] = []
  const listeners = process.rawListeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => thrown.push(error))
  t.teardown(() => {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener as () => void)
  })
  for (const [i, { reader, writer }] of pipes.entries()) {
    writeSync(writer, 'x')
    reactor.watch(reader, { readable: true }, () => {
      calls.push(i)
      if (i === 0) throw new Error('from a handler')
    })
  }
  await until(() => calls.length === 2 && thrown.length === 1)
  t.match(thrown, [{ message: 'from a handler' }])
})

test('unwatch() of a descriptor number that a connection has now doesn’t affect the connection', async (t) => {
  const echo = { data: (conn: { write(chunk: Buffer): unknown }, chunk: Buffer) => conn.write(chunk) }
  const { reactor, port } = await serve(t, echo)
  const { reader, close } = makePipe(t)
  const watch = reactor.watch(reader, { readable: true }, () => {})
  // Two peers, because the peer's own socket may get the number first.
  close(reader)
  const peers = [await connectPeer(t, port), await connectPeer(t, port)]
  await until(() => reactor.connections.size === 2)
  watch.unwatch()
  for (const peer of peers) {
    peer.write('hello')
    await peer.untilBytes(5)
  }
  t.equal(watch.active, false)
})

test('unwatch() of a descriptor number that a second watch has now doesn’t affect the second', async (t) => {
  const reactor = makeReactor(t)
  const { reader, close } = makePipe(t)
  const first = reactor.watch(reader, { readable: true }, () => t.fail('the first was called'))
  const other = makePipe(t)
  close(reader)
  // The closed number is the lowest free one.
  const again = openSync(`/proc/self/fd/${other.reader}`, 'r')
  t.teardown(() => closeSync(again))
  t.equal(again, reader)
  let calls = 0
  reactor.watch(again, { readable: true }, () => {
    calls++
  })
  first.unwatch()
  writeSync(other.writer, 'x')
  await until(() => calls === 1)
})
