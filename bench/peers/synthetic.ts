import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Reactor } from 'c1m'

/**
 * An echo server whose I/O threads get bytes from `bench/native/synthetic-kernel.cc`, by C1M_PREBUILD:
 * `synthetic.js <I/O threads> <connections> <owned|borrowed> <warm-up, ms> <duration, ms>`. Prints its figures as JSON.
 */

const [threads = 1, connections = 100, read = 'owned', warmupMs = 100, durationMs = 100] = process.argv.slice(2)

/** Returns the time of this thread on a CPU, exact to the nanosecond. */
function ownNs(): number {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[0])
}

function sample() {
  const { batches, bytesWritten, ioThreads } = reactor.stats()
  const ioMicros = ioThreads.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0)
  return { at: performance.now(), ownNs: ownNs(), ioMicros, batches, messages: bytesWritten / 64 }
}

const reactor = new Reactor({ ioThreads: Number(threads) })

async function main(): Promise<void> {
  const listener = await reactor.listen(
    { host: '127.0.0.1', port: 0, read: read as 'owned' | 'borrowed', placement: 'round-robin' },
    {
      data(conn, chunk) {
        if (!conn.write(chunk)) conn.pause()
      },
      drain(conn) {
        conn.resume()
      },
    },
  )
  const sockets = Array.from({ length: Number(connections) }, () => connect(listener.port as number, '127.0.0.1'))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  while (reactor.connections.size < sockets.length) await sleep(5)
  sockets[0]?.write('go')
  await sleep(Number(warmupMs))
  const before = sample()
  await sleep(Number(durationMs))
  const after = sample()
  const messages = after.messages - before.messages
  const elapsedNs = (after.at - before.at) * 1e6
  const result = {
    messages,
    messagesPerSecond: (messages * 1e9) / elapsedNs,
    mainThreadNs: (after.ownNs - before.ownNs) / messages,
    ioThreadsNs: ((after.ioMicros - before.ioMicros) * 1000) / messages,
    mainThreadShare: (after.ownNs - before.ownNs) / elapsedNs,
    messagesPerBatch: messages / (after.batches - before.batches),
  }
  process.stdout.write(JSON.stringify(result), () => process.exit(0))
}

void main()
