import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type EchoRun, echoFailures, measureEcho } from '../harness/measure-echo.js'
import { compiledPeers, syntheticAddon } from '../harness/paths.js'
import { c1mWithThreads } from '../harness/peers.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { medianOf } from '../harness/statistics.js'
import { decimal, integer, micros, percent } from '../harness/table.js'
import { atLeast, atMost } from '../harness/targets.js'

/** Measures how many I/O threads one JS thread can serve: under real load, and with a synthetic kernel. */

const reads = ['owned', 'borrowed'] as const

interface RealRun extends EchoRun {
  readonly threads: number
}

interface SyntheticRun {
  readonly threads: number
  readonly read: (typeof reads)[number]
  readonly messages: number
  readonly messagesPerSecond: number
  readonly mainThreadNs: number
  readonly ioThreadsNs: number
  readonly mainThreadShare: number
  readonly messagesPerBatch: number
}

const shape = { connections: 1000, bytes: 64, depth: 1 } as const

const run = promisify(execFile)

async function produce(threads: number, read: SyntheticRun['read'], quick: boolean): Promise<SyntheticRun> {
  const times = quick ? ['100', '200'] : ['500', '2000']
  const program = join(compiledPeers, 'synthetic.js')
  const { stdout } = await run(process.execPath, [program, String(threads), '1000', read, ...times], {
    env: { ...process.env, C1M_PREBUILD: syntheticAddon },
  })
  return { threads, read, ...(JSON.parse(stdout) as Omit<SyntheticRun, 'threads' | 'read'>) }
}

/** Returns medians over the rounds. */
function mediansOf(real: readonly RealRun[], synthetic: readonly SyntheticRun[]) {
  const ofReal = (count: number, value: (one: RealRun) => number) =>
    medianOf(
      real.filter((one) => one.threads === count),
      value,
    )
  const ofSynthetic = (count: number, read: SyntheticRun['read'], value: (one: SyntheticRun) => number) =>
    medianOf(
      synthetic.filter((one) => one.threads === count && one.read === read),
      value,
    )
  return { ofReal, ofSynthetic }
}

export const threads: Scenario = {
  name: 'threads',
  async run({ quick, free, progress }: Context): Promise<Outcome> {
    const counts = quick ? [1, 2] : [1, 2, 4, 8]
    const rounds = quick ? 1 : 3
    const timing = quick ? { warmupMs: 100, durationMs: 200 } : { warmupMs: 500, durationMs: 2500 }
    progress.begin(counts.length * rounds * 3)
    const real: RealRun[] = []
    const synthetic: SyntheticRun[] = []
    for (let round = 1; round <= rounds; round++) {
      for (const count of counts) {
        progress.step(`threads: ${count}, round ${round} of ${rounds}`)
        real.push({ threads: count, ...(await measureEcho(c1mWithThreads(count), shape, timing, free)) })
        for (const read of reads) {
          progress.step(`threads: ${count}, synthetic, ${read}, round ${round} of ${rounds}`)
          synthetic.push(await produce(count, read, quick))
        }
      }
    }
    const { ofReal, ofSynthetic } = mediansOf(real, synthetic)
    const best = Math.max(...counts.map((count) => ofSynthetic(count, 'borrowed', (one) => one.messagesPerSecond)))
    return {
      runs: [...real, ...synthetic],
      tables: [
        {
          title: '64 B, 1,000 connections, server not pinned',
          columns: ['I/O threads', 'messages/s', 'JS thread µs', 'I/O threads µs', 'JS thread CPU'],
          rows: counts.map((count) => [
            String(count),
            integer(ofReal(count, (one) => one.messagesPerSecond)),
            micros(ofReal(count, (one) => one.mainThreadNs)),
            micros(ofReal(count, (one) => one.ioThreadsNs)),
            percent(ofReal(count, (one) => one.mainThreadShare)),
          ]),
        },
        {
          title: 'a synthetic producer in the place of the kernel, 64 B, 1,000 connections',
          columns: ['I/O threads', 'read', 'messages/s', 'JS thread µs', 'I/O threads µs', 'JS thread CPU', 'a batch'],
          rows: counts.flatMap((count) =>
            reads.map((read) => [
              String(count),
              read,
              integer(ofSynthetic(count, read, (one) => one.messagesPerSecond)),
              micros(ofSynthetic(count, read, (one) => one.mainThreadNs)),
              micros(ofSynthetic(count, read, (one) => one.ioThreadsNs)),
              percent(ofSynthetic(count, read, (one) => one.mainThreadShare)),
              decimal(
                ofSynthetic(count, read, (one) => one.messagesPerBatch),
                0,
              ),
            ]),
          ),
        },
      ],
      targets: [
        atLeast('messages a second, synthetic', 2_500_000, best),
        atMost('JS thread, µs a message, synthetic', 0.4, ofSynthetic(1, 'borrowed', (one) => one.mainThreadNs) / 1000),
      ],
      notes: [
        'Two cores: under real load the I/O threads, the JS thread and the load share them. Medians.',
        'Synthetic: no system call for a message, so that the I/O threads fill batches faster than JS empties them.',
      ],
      failures: [
        ...real.flatMap(echoFailures),
        ...synthetic.filter(({ messages }) => messages === 0).map(() => 'synthetic: not one message was echoed'),
      ],
    }
  },
}
