import { createInterface } from 'node:readline'
import { print } from './control.js'

/**
 * The lines that a peer of the broadcast benchmark obeys on stdin, each answered by one JSON line:
 *
 * - `stats`: answers `stats` with the number of connections that are told
 * - `broadcast ROUNDS BYTES`: sends to all, one round after the other; answers `broadcasted` with the microseconds from
 *   the first call until the last round has gone to the kernel, and how many connections it did not reach
 *
 * The end of stdin ends it.
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
