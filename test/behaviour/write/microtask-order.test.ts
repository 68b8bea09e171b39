import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from 'c1m'
import { test } from 'tap'
import { BatchCounter, OneBatch } from '../../fixtures/batch.js'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`writes of a handler, its ticks and its promises are sent together, in order (${trigger})`, async (t) => {
    const { port, reactor } = await serve<unknown>(
      t,
      {
        data(conn) {
          conn.write('1')
          process.nextTick(() => {
            conn.write('3')
            process.nextTick(() => conn.write('4'))
            queueMicrotask(() => conn.write('7'))
          })
          queueMicrotask(() => {
            conn.write('5')
            process.nextTick(() => conn.write('8'))
            void Promise.resolve().then(() => conn.write('7'))
          })
          void Promise.resolve().then(() => conn.write('6'))
          conn.write('2')
        },
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await fence(reactor)
    const before = reactor.stats().writes
    peer.write('go')
    await peer.untilBytes(9)
    await fence(reactor)
    t.equal(peer.text, '123456778')
    t.equal(reactor.stats().writes - before, 1)
  })

  test(`an async handler's writes keep their order across awaits (${trigger})`, async (t) => {
    const { port } = await serve<unknown>(
      t,
      {
        data(conn, chunk) {
          const work = async () => {
            conn.write(`${chunk} a;`)
            await null
            conn.write(`${chunk} b;`)
            await sleep(5)
            conn.write(`${chunk} c;`)
            await new Promise(setImmediate)
            conn.end(`${chunk} d;`)
          }
          void work()
        },
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.write('x')
    await peer.untilEnded()
    t.equal(peer.text, 'x a;x b;x c;x d;')
  })

  test(`the handlers of a batch run before its ticks and promises (${trigger})`, async (t) => {
    const order: string[] = []
    const batch = new BatchCounter()
    const numbers: number[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      {
        data(conn, chunk) {
          const name = chunk.toString()
          if (name.startsWith('~')) return
          numbers.push(batch.now)
          order.push(name)
          conn.write(name)
          process.nextTick(() => {
            order.push(`tick ${name}`)
            conn.write(` tick ${name}`)
          })
          void Promise.resolve().then(() => {
            order.push(`promise ${name}`)
            conn.write(` promise ${name}`)
          })
        },
      },
      {},
      { trigger, ioThreads: 1 },
    )
    const together = await OneBatch.prepare(t, port)
    const a = await connectPeer(t, port)
    const b = await connectPeer(t, port)
    await fence(reactor)
    together.run(() => {
      a.write('a')
      b.write('b')
    })
    await until(() => order.length === 6)
    t.equal(new Set(numbers).size, 1, 'one batch')
    t.strictSame(order, ['a', 'b', 'tick a', 'tick b', 'promise a', 'promise b'])
    await until(() => a.text === 'a tick a promise a' && b.text === 'b tick b promise b')
  })

  test(`writes outside of handlers are sent by one call for each microtask drain (${trigger})`, async (t) => {
    const conns: Connection[] = []
    const { port, reactor } = await serve<unknown>(t, { open: (conn) => void conns.push(conn) }, {}, { trigger })
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    const conn = conns[0] as Connection
    for (const [name, run] of [
      ['a timer', (act: () => void) => setTimeout(act, 1)],
      ['an immediate', (act: () => void) => setImmediate(act)],
      ['a promise', (act: () => void) => void sleep(1).then(act)],
    ] as const) {
      await fence(reactor)
      const before = reactor.stats().writes
      peer.chunks.length = peer.length = 0
      run(() => {
        conn.write('1')
        queueMicrotask(() => conn.write('3'))
        conn.write('2')
      })
      await peer.untilBytes(3)
      await fence(reactor)
      t.equal(peer.text, '123', name)
      // Microtasks of a promise run in one drain; otherwise a tick may publish between the first write and the last.
      t.ok(reactor.stats().writes - before <= 2, `${name}: ${reactor.stats().writes - before} calls`)
    }
  })
}
