// Replies that take CPU time are computed on worker threads, and clients that send too many requests are throttled. A
// client checks the replies.
//   node examples/worker-pool.mjs
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import { delimited, Reactor, WorkerPool } from 'c1m'

/**
 * The task of a worker: counts primes, and writes the reply itself.
 * @param {number} limit
 * @param {{ connection: import('c1m').RemoteConnection }} context
 */
export default function countPrimes(limit, { connection }) {
  let count = 0
  for (let n = 2; n <= limit; n++) {
    let prime = true
    for (let d = 2; d * d <= n && prime; d++) prime = n % d !== 0
    if (prime) count++
  }
  connection.write(`${count} primes up to ${limit}\n`)
}

// The workers load this file as well.
if (isMainThread) {
  const pool = new WorkerPool({ filename: fileURLToPath(import.meta.url), size: 2, maxTasksPerConnection: 8 })
  const reactor = new Reactor()
  const { port } = await reactor.listen(
    { port: 0, framing: delimited('\n', { maxFrameBytes: 20 }) },
    {
      data(conn, line) {
        pool.run(Math.min(Number(line), 1e6), { connection: conn }).catch((error) => conn.destroy(error))
      },
    },
  )

  const client = connect(Number(port)).setEncoding('utf8')
  let text = ''
  client.on('data', (chunk) => {
    text += chunk
  })
  for (let i = 0; i < 50; i++) client.write(`${1000 + (i % 2) * 9000}\n`)
  while (text.split('\n').length <= 50) await once(client, 'data')
  const lines = new Set(text.trim().split('\n'))
  console.log([...lines].sort().join(', '))
  if (lines.size !== 2 || !lines.has('168 primes up to 1000')) throw new Error('wrong answers')
  const { completed, runMs } = pool.stats()
  console.log(`${completed} tasks, half of them in ${runMs.p50} ms or less`)
  client.end()
  await reactor.shutdown()
  await pool.close()
}
