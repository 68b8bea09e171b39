import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { type Test, test } from 'tap'
import { childProgram } from '../../fixtures/child.js'
import { openDescriptors, openThreads } from '../../fixtures/host.js'
import { connectPeer, type Peer } from '../../fixtures/peer.js'
import { freePort } from '../../fixtures/port.js'
import { serve, until } from '../../fixtures/reactor.js'

interface Started {
  readonly worker: Worker
  readonly port: number
  /** Resolves with the exit code of the worker, and the error that ended it. */
  readonly ended: Promise<{ code: number; error: Error | undefined }>
}

/** Starts a worker with an echo server, which ends in the way of `how` after the message `end`. */
async function startWorker(t: Pick<Test, 'teardown'>, workerData: object): Promise<Started> {
  const worker = new Worker(childProgram('echo-worker'), { workerData })
  t.teardown(() => worker.terminate())
  let error: Error | undefined
  worker.on('error', (reason) => {
    error = reason
  })
  const ended = new Promise<{ code: number; error: Error | undefined }>((resolve) => {
    worker.on('exit', (code) => resolve({ code, error }))
  })
  const [port] = (await once(worker, 'message')) as [number]
  return { worker, port, ended }
}

/** Sends each reply back. */
function pingPong(peer: Peer): void {
  peer.socket.on('data', (chunk) => peer.socket.write(chunk))
  peer.write('ping')
}

test('reactors in workers can share a port with one in the main thread', async (t) => {
  const main = await serve(
    t,
    {
      data(conn, chunk) {
        conn.write(`0:${chunk}`)
      },
    },
    { reusePort: true },
  )
  for (const id of [1, 2]) await startWorker(t, { port: main.port, id })
  const names = new Set<string>()
  for (let i = 0; i < 300 && names.size < 3; i++) {
    const peer = await connectPeer(t, main.port)
    peer.write('x')
    await peer.untilBytes(3)
    names.add(peer.text)
    peer.socket.destroy()
  }
  t.strictSame([...names].sort(), ['0:x', '1:x', '2:x'])
})

/** Has all loaded that is loaded once for all workers. */
async function loadOnce(t: Pick<Test, 'teardown'>): Promise<void> {
  const first = await startWorker(t, { port: 0, id: 0, how: 'shutdown' })
  first.worker.postMessage('end')
  await first.ended
  // A thread that has been joined is in /proc for a little longer.
  await sleep(60)
}

let loaded: Promise<void> | undefined

const endings: Record<string, object> = {
  exit: { code: 7 },
  unref: { code: 0, error: undefined },
  shutdown: { code: 0, error: undefined },
  throw: { code: 1, error: { message: 'thrown in data' } },
  'throw later': { code: 1, error: { message: 'thrown in a timer' } },
}

for (const [how, expected] of Object.entries(endings)) {
  test(`a worker with a reactor under load may end by: ${how}`, async (t) => {
    loaded ??= loadOnce(t)
    await loaded
    const descriptors = openDescriptors()
    const threads = openThreads()

    const { worker, port, ended } = await startWorker(t, { port: await freePort(), id: 1, how })
    const peers = await Promise.all(Array.from({ length: 20 }, () => connectPeer(t, port)))
    for (const peer of peers) pingPong(peer)
    await until(() => peers.every((peer) => peer.length > 20))
    worker.postMessage('end')
    t.match(await ended, expected)
    await Promise.all(
      peers.map(async (peer) => {
        await until(() => peer.ended || peer.closed, 'the peers’ end')
        peer.socket.destroy()
        await peer.untilClosed()
      }),
    )
    await t.rejects(connectPeer(t, port), { code: 'ECONNREFUSED' })
    await until(() => openThreads() === threads, 'the end of its threads')
    await until(() => openDescriptors() === descriptors, 'the end of its descriptors')
  })
}
