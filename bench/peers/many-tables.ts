import { createInterface } from 'node:readline'
import { Reactor } from 'c1m'
import { print } from './control.js'

/**
 * The echo server of the benchmark of many file tables: `many-tables.js <threads> <max connections>`. Its commands:
 *
 * - `gc`: collects garbage; replies `gc`
 * - `stats`: replies `stats` with the number of open connections
 * - `close`: closes all of them, and the reactor; replies `closed`
 */

const [threads, maxConnections] = process.argv.slice(2).map(Number) as [number, number]
const reactor = new Reactor({ maxConnections, ioThreads: { count: threads, ownFileTable: true } })

async function main(): Promise<void> {
  const listener = await reactor.listen(
    { host: '127.0.0.1', port: 0, noDelay: true },
    {
      data(conn, chunk) {
        conn.write(chunk)
      },
    },
  )
  print({ event: 'listening', port: listener.port as number })
}

createInterface({ input: process.stdin })
  .on('line', async (line) => {
    if (line === 'gc') {
      globalThis.gc?.()
      print({ event: 'gc' })
    } else if (line === 'stats') {
      const { connections, shed, acceptErrors } = reactor.stats()
      const perThread = reactor.stats().ioThreads.map((thread) => thread.connections)
      print({ event: 'stats', connections, shed, acceptErrors, most: Math.max(...perThread) })
    } else if (line === 'close') {
      const { drained, cut } = await reactor.shutdown({ timeoutMs: 0 })
      print({ event: 'closed', connections: drained + cut })
    }
  })
  .on('close', () => process.exit(0))
void main()
