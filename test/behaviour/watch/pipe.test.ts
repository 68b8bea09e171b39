import { writeSync } from 'node:fs'
import type { WatchEvents } from 'c1m'
import { test } from 'tap'
import { makePipe, readAll } from '../../fixtures/pipe.js'
import { block, fence, makeReactor, TRIGGERS, until } from '../../fixtures/reactor.js'

const none = { readable: false, writable: false, priority: false, hangup: false, error: false }

for (const trigger of TRIGGERS) {
  test(`watches of both ends of a pipe are called once for each edge (${trigger})`, async (t) => {
    const reactor = makeReactor(t, { trigger })
    const { reader, writer, close } = makePipe(t)
    const calls: WatchEvents[] = []
    const room: WatchEvents[] = []
    let text = ''
    const reading = reactor.watch(reader, { readable: true }, (events, watch) => {
      t.equal(watch, reading)
      calls.push(events)
      text += readAll(reader)
    })
    const writing = reactor.watch(writer, { writable: true }, (events) => room.push(events))
    await until(() => room.length === 1)
    t.strictSame(room, [{ ...none, writable: true }], 'an empty pipe is writable')
    t.strictSame(calls, [])
    writeSync(writer, 'one')
    await until(() => calls.length === 1)
    t.strictSame(calls, [{ ...none, readable: true }])
    writeSync(writer, 'two')
    await until(() => text === 'onetwo')
    await fence(reactor)
    t.equal(calls.length, 2)
    writing.unwatch()
    close(writer)
    await until(() => calls.length === 3)
    t.strictSame(calls[2], { ...none, hangup: true })
    reading.unwatch()
    t.equal(reading.active, false)
    t.equal(reading.fd, reader)
  })

  test(`unread bytes cause no further call, and new ones do (${trigger})`, async (t) => {
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

  test(`edges while the JS thread is blocked are combined, and later ones are never lost (${trigger})`, async (t) => {
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
    // One call for each of the four batches, and one for all edges without a batch.
    t.ok(calls <= 6, `${calls} calls`)
    // A write in the same turn as the handler's read causes the next edge.
    for (let i = 0; i < 200; i++) {
      writeSync(writer, 'y')
      await until(() => text.length === 51 + i)
    }
    t.equal(text, 'x'.repeat(50) + 'y'.repeat(200))
  })
}

test('the watch of a full pipe is called when it is writable again', async (t) => {
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

test('the watch of a writer gets an error when the reader is closed', async (t) => {
  const reactor = makeReactor(t)
  const { reader, writer, close } = makePipe(t)
  const calls: WatchEvents[] = []
  reactor.watch(writer, { writable: true }, (events) => calls.push(events))
  await until(() => calls.length === 1)
  close(reader)
  await until(() => calls.length === 2)
  t.equal(calls[1]?.error, true)
})
