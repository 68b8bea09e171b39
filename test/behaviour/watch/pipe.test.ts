import { writeSync } from 'node:fs'
import type { WatchEvents } from 'c1m'
import { test } from 'tap'
import { makePipe, readAll } from '../../fixtures/pipe.js'
import { block, fence, makeReactor, TRIGGERS, until } from '../../fixtures/reactor.js'

const none = { readable: false, writable: false, priority: false, hangup: false, error: false }

for (const trigger of TRIGGERS) {
  test(`both ends of a pipe are told of, once for each edge (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger })
    const { reader, writer, close } = makePipe(t)
    const told: WatchEvents[] = []
    const room: WatchEvents[] = []
    let text = ''
    const reading = reactor.watch(reader, { readable: true }, (events, watch) => {
      t.equal(watch, reading)
      told.push(events)
      text += readAll(reader)
    })
    const writing = reactor.watch(writer, { writable: true }, (events) => room.push(events))
    await until(() => room.length === 1)
    t.strictSame(room, [{ ...none, writable: true }], 'there is room from the start')
    t.strictSame(told, [])
    writeSync(writer, 'one')
    await until(() => told.length === 1)
    t.strictSame(told, [{ ...none, readable: true }])
    writeSync(writer, 'two')
    await until(() => text === 'onetwo')
    await fence(reactor)
    t.equal(told.length, 2)
    writing.unwatch()
    close(writer)
    await until(() => told.length === 3)
    t.strictSame(told[2], { ...none, hangup: true })
    reading.unwatch()
    t.equal(reading.active, false)
    t.equal(reading.fd, reader)
  })

  test(`what is left unread isn't told again, what comes is (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger })
    const { reader, writer } = makePipe(t)
    let calls = 0
    reactor.watch(reader, { readable: true }, () => {
      calls++
    })
    writeSync(writer, 'x')
    await until(() => calls === 1)
    await fence(reactor)
    t.equal(calls, 1)
    writeSync(writer, 'y')
    await until(() => calls === 2)
    t.equal(readAll(reader), 'xy')
  })

  test(`while this thread is busy, edges come together; one after it is never lost (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger })
    const { reader, writer } = makePipe(t)
    let calls = 0
    let text = ''
    reactor.watch(reader, { readable: true, writable: true }, () => {
      calls++
      text += readAll(reader)
    })
    for (let i = 0; i < 50; i++) {
      writeSync(writer, 'x')
      block(1)
    }
    await until(() => text.length === 50)
    // One for each of the four batches that go round, and one for all that came when there was none.
    t.ok(calls <= 6, `${calls} calls`)
    // Written in the handler's own turn, behind its read: the next edge.
    for (let i = 0; i < 200; i++) {
      writeSync(writer, 'y')
      await until(() => text.length === 51 + i)
    }
    t.equal(text, 'x'.repeat(50) + 'y'.repeat(200))
  })
}

test('a writer that was full is told of room', async (t) => {
  const reactor = makeReactor(t)
  const { reader, writer } = makePipe(t)
  let rooms = 0
  reactor.watch(writer, { writable: true }, () => {
    rooms++
  })
  await until(() => rooms === 1)
  const block64k = Buffer.alloc(65_536)
  try {
    for (;;) writeSync(writer, block64k)
  } catch (error) {
    t.match(error, { code: 'EAGAIN' })
  }
  t.ok(readAll(reader).length >= 65_536)
  await until(() => rooms >= 2)
})

test('a reader that goes away is an error of the writer', async (t) => {
  const reactor = makeReactor(t)
  const { reader, writer, close } = makePipe(t)
  const told: WatchEvents[] = []
  reactor.watch(writer, { writable: true }, (events) => told.push(events))
  await until(() => told.length === 1)
  close(reader)
  await until(() => told.length === 2)
  t.equal(told[1]?.error, true)
})
