import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { serve, until } from '../../fixtures/reactor.js'

test('a flood on one I/O thread does not delay the events of another', async (t) => {
  const handled = new Map<number, number>()
  const { reactor, port } = await serve(
    t,
    {
      data(conn, chunk) {
        const thread = Math.floor((conn.id % 2 ** 30) / 2 ** 24)
        handled.set(thread, (handled.get(thread) ?? 0) + 1)
        if (chunk[0] === 63) conn.write('!')
      },
    },
    { placement: 'round-robin' },
    { ioThreads: 2 },
  )
  const flood = await connectPeer(t, port)
  const quiet = await connectPeer(t, port)
  await until(() => reactor.connections.size === 2)
  let stopped = false
  const chunk = Buffer.alloc(65_536)
  const pour = () => {
    while (!stopped && flood.socket.write(chunk));
    if (!stopped) flood.socket.once('drain', pour)
  }
  pour()
  for (let i = 1; i <= 50; i++) {
    quiet.write('?')
    await quiet.untilBytes(i)
  }
  stopped = true
  const [one = 0, other = 0] = [handled.get(0), handled.get(1)]
  t.ok(Math.min(one, other) >= 50 && Math.max(one, other) > 50, `${one} and ${other} events`)
})
