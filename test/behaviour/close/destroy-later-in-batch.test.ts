import type { Connection } from 'c1m'
import { test } from 'tap'
import { BatchCounter, OneBatch } from '../../fixtures/batch.js'
import { connectPeer } from '../../fixtures/peer.js'
import { fence, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  for (const how of ['destroy', 'reset'] as const) {
    test(`${how}() drops the connection's data later in the same batch (${trigger})`, async (t) => {
      const conns = new Map<string, Connection>()
      const log: string[] = []
      const batch = new BatchCounter()
      const numbers: number[] = []
      const { port, reactor } = await serve(
        t,
        {
          data(conn, chunk) {
            const text = chunk.toString()
            if (text.startsWith('name ')) conns.set(text.slice(5), conn as Connection)
            if (!text.startsWith('go')) return
            numbers.push(batch.now)
            log.push(text)
            conns.get(text === 'go a' ? 'b' : 'a')?.[how]()
          },
          close(conn, error) {
            for (const [name, one] of conns) if (one === conn) log.push(`close ${name} ${error?.code}`)
          },
        },
        {},
        { trigger, ioThreads: 1 },
      )
      const together = await OneBatch.prepare(t, port)
      const a = await connectPeer(t, port)
      const b = await connectPeer(t, port)
      const c = await connectPeer(t, port)
      a.write('name a')
      b.write('name b')
      c.write('name c')
      await until(() => conns.size === 3)
      together.run(() => {
        a.write('go a')
        b.write('go b')
        c.write('go c')
      })
      // "c" closes "a", which has been delivered before.
      await until(() => log.includes('go c') && reactor.connections.size === 2)
      await fence(reactor)
      t.equal(new Set(numbers).size, 1, 'all events were in one batch')
      // b's data is in the batch, after its destruction.
      t.strictSame(log.slice(0, 2), ['go a', 'go c'])
      t.strictSame(log.slice(2).sort(), ['close a undefined', 'close b undefined'])
      await until(() => a.gone && b.gone)
    })
  }

  test(`a connection destroyed earlier in the batch with its end and close closes once (${trigger})`, async (t) => {
    const conns = new Map<string, Connection>()
    const log: string[] = []
    const { port, reactor } = await serve(
      t,
      {
        data(conn, chunk) {
          const text = chunk.toString()
          if (text.startsWith('name ')) conns.set(text.slice(5), conn as Connection)
          if (text === 'go') conns.get('b')?.destroy(new Error('own'))
          if (text === 'late') log.push('late')
        },
        end(conn) {
          if (conn === conns.get('b')) log.push('end')
        },
        close(conn, error) {
          if (conn === conns.get('b')) log.push(`close ${error?.message}`)
        },
      },
      {},
      { trigger, ioThreads: 1 },
    )
    const together = await OneBatch.prepare(t, port)
    const a = await connectPeer(t, port)
    const b = await connectPeer(t, port)
    a.write('name a')
    b.write('name b')
    await until(() => conns.size === 2)
    together.run(() => {
      a.write('go')
      b.write('late')
      b.reset()
    })
    await until(() => reactor.connections.size === 2)
    await fence(reactor)
    t.strictSame(log, ['close own'])
  })
}
