import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { record, serve, TRIGGERS, until } from '../../fixtures/reactor.js'

for (const trigger of TRIGGERS) {
  test(`bytes before a FIN are delivered before end, which is called once (${trigger})`, async (t) => {
    const log: string[] = []
    const { port } = await serve(t, record(log), {}, { trigger })
    const peer = await connectPeer(t, port)
    peer.write('head ')
    peer.write('tail')
    // The reactor's thread reads everything, including the FIN, before any handler runs.
    await peer.endAndBlock(30)
    await until(() => log.at(-1) === 'close')
    t.equal(
      log
        .filter((line) => line.startsWith('data'))
        .map((line) => line.slice(5))
        .join(''),
      'head tail',
    )
    t.equal(log[0], 'open')
    t.strictSame(
      log.filter((line) => !line.startsWith('data')),
      ['open', 'end', 'close'],
    )
    await peer.untilEnded()
    t.equal(peer.error, undefined)
  })

  test(`a tail larger than a read and than a batch is delivered before end (${trigger})`, async (t) => {
    let bytes = 0
    const afterEnd: number[] = []
    let ends = 0
    let closes = 0
    const { port } = await serve(
      t,
      {
        data(_conn, chunk) {
          if (ends > 0) afterEnd.push(chunk.length)
          bytes += chunk.length
        },
        end: () => void ends++,
        close: () => void closes++,
      },
      {},
      { trigger },
    )
    const peer = await connectPeer(t, port)
    const size = 12 * 1024 * 1024
    peer.end(Buffer.alloc(size, 1))
    await until(() => closes === 1)
    t.equal(bytes, size)
    t.equal(ends, 1)
    t.strictSame(afterEnd, [])
  })

  test(`a FIN without a byte calls end (${trigger})`, async (t) => {
    const log: string[] = []
    const { port } = await serve(t, record(log), {}, { trigger })
    const peer = await connectPeer(t, port)
    peer.end()
    await until(() => log.includes('close'))
    t.strictSame(log, ['open', 'end', 'close'])
  })
}
