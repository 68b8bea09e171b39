// Handlers on several cores: each worker has a reactor of its own, and the kernel distributes the port's connections.
//   node examples/workers.mjs       then: nc localhost 7000, several times
import { isMainThread, parentPort, threadId, Worker, workerData } from 'node:worker_threads'
import { Reactor } from 'c1m'

async function serve() {
  const reactor = new Reactor()
  const listener = await reactor.listen(
    { host: '127.0.0.1', port: workerData, reusePort: true },
    {
      data(conn, chunk) {
        conn.write(`worker ${threadId}: ${chunk}`)
      },
    },
  )
  parentPort?.once('message', () => reactor.shutdown({ timeoutMs: 1000 }).then(() => parentPort?.close()))
  parentPort?.postMessage(listener.port)
}

/** @param {number} port */
async function start(port) {
  const worker = new Worker(new URL(import.meta.url), { workerData: port })
  const bound = await new Promise((resolve) => worker.once('message', resolve))
  process.once('SIGINT', () => worker.postMessage('stop'))
  return bound
}

if (isMainThread) {
  // The first worker lets the kernel choose the port, if it is 0; the others join it there.
  const port = await start(Number(process.env.PORT ?? 7000))
  for (let workers = 1; workers < 4; workers++) await start(port)
  console.log('listening on', port)
} else {
  await serve()
}
