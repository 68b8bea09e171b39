import { createInterface } from 'node:readline'
import { print } from './control.js'

/**
 * Executes the commands of the broadcast benchmark, lines on stdin, and replies to each with one JSON line:
 *
 * - `stats`: replies `stats` with the number of connections that get broadcasts
 * - `broadcast ROUNDS BYTES`: sends to all, one round after the other; replies `broadcasted` with the microseconds from
 *   the first call until the kernel has the last round, and the number of connections that were not reached
 *
 * The end of stdin ends the process.
 */
export function obeyBroadcasts(
  connections: () => number,
  broadcast: (payload: Buffer) => Promise<{ errors: number }>,
): void {
  const run = async (rounds: number, bytes: number) => {
    const payload = Buffer.alloc(bytes, 'x')
    let errors = 0
    const start = process.hrtime.bigint()
    for (let round = 0; round < rounds; round++) errors += (await broadcast(payload)).errors
    print({ event: 'broadcasted', micros: Number((process.hrtime.bigint() - start) / 1000n), errors })
  }
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const [command, rounds, bytes] = line.split(' ')
      if (command === 'stats') print({ event: 'stats', connections: connections() })
      if (command === 'broadcast') void run(Number(rounds), Number(bytes))
    })
    .on('close', () => process.exit(0))
}
