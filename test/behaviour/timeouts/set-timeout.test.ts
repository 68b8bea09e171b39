import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from 'c1m'
import { t as tap, test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

// Each test mostly waits for a time to pass.
tap.jobs = 6

const now = () => performance.now()

for (const trigger of TRIGGERS) {
  test(`setTimeout() replaces the listener's timeout, and 0 switches it off (${trigger})`, async (t) => {
    const started = new Map<number, number>()
    const elapsed = new Map<number, number>()
    // The last one keeps the listener's: when that has run out, so would those of the others.
    const wanted = [0, 100, 0, 300, 0, 200, undefined]
    let opened = 0
    const { port, reactor } = await serve<{ index: number }>(
      t,
      {
        open(conn) {
          conn.data = { index: opened++ }
          started.set(conn.data.index, now())
          const ms = wanted[conn.data.index]
          if (ms !== undefined) t.equal(conn.setTimeout(ms), true)
        },
        timeout(conn) {
          const { index } = conn.data
          if (!elapsed.has(index)) elapsed.set(index, now() - (started.get(index) as number))
        },
      },
      // Long enough for the command of `open` to come in time on a busy machine.
      { idleTimeoutMs: 1000 },
      { trigger },
    )
    for (const before of wanted.keys()) {
      await connectPeer(t, port)
      // Peers connect one after the other, so that they are accepted in that order.
      await until(() => opened > before)
    }
    await until(() => elapsed.has(6))
    await fence(reactor)
    t.strictSame([...elapsed.keys()].sort(), [1, 3, 5, 6])
    for (const [index, ms] of elapsed) t.ok(ms >= (wanted[index] ?? 0), `${wanted[index]} after ${ms}`)
  })

  test(`timeout is called again after each further period (${trigger})`, async (t) => {
    const times: number[] = []
    const { port } = await serve(t, { timeout: () => void times.push(now()) }, { idleTimeoutMs: 100 }, { trigger })
    await connectPeer(t, port)
    await until(() => times.length === 4)
    for (let i = 1; i < times.length; i++) {
      const gap = (times[i] as number) - (times[i - 1] as number)
      // Both calls may be late on a busy machine.
      t.ok(gap > 50 && gap < 1000, `gap of ${gap}`)
    }
    t.ok((times[3] as number) - (times[0] as number) >= 290)
  })

  test(`bytes in either direction restart the timeout (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const { port } = await serve<unknown>(
      t,
      { open: (conn) => void conns.push(conn), timeout: () => void log.push('timeout') },
      { idleTimeoutMs: 400 },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    await until(() => conns.length === 1)
    let last = 0
    for (let i = 0; i < 8; i++) {
      const before = now()
      i % 2 === 0 ? peer.write('x') : conns[0]?.write('y')
      await sleep(150)
      // The test is meaningless if the machine was too busy meanwhile.
      if (now() - before > 350) return void t.pass('the machine is too slow for this test')
      last = before
    }
    t.strictSame(log, [], '1200 ms of activity')
    await until(() => log.length > 0)
    t.ok(now() - last >= 400)
  })

  test(`setTimeout() can be called outside of handlers, and switched off again (${trigger})`, async (t) => {
    const log: string[] = []
    const conns: Connection[] = []
    const { port, reactor } = await serve<unknown>(
      t,
      { open: (conn) => void conns.push(conn), timeout: () => void log.push('timeout') },
      {},
      { trigger },
    )
    await connectPeer(t, port)
    await until(() => conns.length === 1)
    await sleep(100)
    t.strictSame(log, [], 'no timeout by default')
    const at = now()
    conns[0]?.setTimeout(120)
    await until(() => log.length === 1)
    t.ok(now() - at >= 120)
    conns[0]?.setTimeout(0)
    await fence(reactor)
    log.length = 0
    await sleep(300)
    t.strictSame(log, [])
    conns[0]?.setTimeout(2 ** 31 - 1)
    await sleep(100)
    t.strictSame(log, [])
  })

  test(`without a timeout handler the connection is destroyed (${trigger})`, async (t) => {
    const log: string[] = []
    const { port, reactor } = await serve<unknown>(t, record(log), { idleTimeoutMs: 100 }, { trigger })
    const at = now()
    const peer = await connectPeer(t, port)
    await until(() => log.length > 1)
    t.ok(now() - at >= 100)
    await fence(reactor)
    t.strictSame(log, ['open', 'close ERR_C1M_IDLE_TIMEOUT'])
    await until(() => peer.gone)
  })

  test(`a paused connection times out as well (${trigger})`, async (t) => {
    const log: string[] = []
    const { port } = await serve<unknown>(
      t,
      record(log, { open: (conn) => void conn.pause() }),
      { idleTimeoutMs: 150 },
      { trigger },
    )
    const peer = await connectPeer(t, port)
    peer.write('unread')
    await until(() => log.includes('close ERR_C1M_IDLE_TIMEOUT'))
    t.strictSame(log, ['open', 'close ERR_C1M_IDLE_TIMEOUT'])
  })
}
