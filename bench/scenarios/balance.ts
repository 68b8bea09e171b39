import { setTimeout as sleep } from 'node:timers/promises'
import { type Placement, Reactor } from 'c1m'
import { connectionsWithinLimit } from '../harness/descriptor-limit.js'
import { HoldLoad } from '../harness/load.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { integer, percent } from '../harness/table.js'
import { atMost } from '../harness/targets.js'

/** How evenly connections are spread over four I/O threads, by each placement. */

const THREADS = 4
const placements = ['least-connections', 'round-robin', 'source-hash', 'reuse-port', 'cpu'] as const

interface BalanceRun {
  readonly placement: Placement
  readonly connections: number
  readonly perThread: readonly number[]
  /** The most less the fewest, of the mean. */
  readonly spread: number
}

async function measure(placement: Placement, connections: number, context: Context): Promise<BalanceRun> {
  const reactor = new Reactor({ ioThreads: { count: THREADS } })
  const listener = await reactor.listen({ host: '127.0.0.1', port: 0, placement })
  const load = new HoldLoad(listener.port as number, context.free.load)
  await load.open(connections)
  while (reactor.connections.size < connections) await sleep(5)
  const perThread = reactor.stats().ioThreads.map((thread) => thread.connections)
  await load.close('reset')
  await load.stop()
  await reactor.shutdown()
  const spread = (Math.max(...perThread) - Math.min(...perThread)) / (connections / THREADS)
  return { placement, connections, perThread, spread }
}

export const balance: Scenario = {
  name: 'balance',
  async run(context: Context): Promise<Outcome> {
    const connections = connectionsWithinLimit(context.quick ? 2000 : 19_000)
    context.progress.begin(placements.length)
    const runs: BalanceRun[] = []
    for (const placement of placements) {
      context.progress.step(`balance: ${placement}`)
      runs.push(await measure(placement, connections, context))
    }
    const spreadOf = (placement: Placement) => runs.find((run) => run.placement === placement)?.spread ?? Number.NaN
    return {
      runs,
      tables: [
        {
          title: `${integer(connections)} connections over ${THREADS} I/O threads`,
          columns: ['placement', 'fewest', 'most', 'spread'],
          rows: runs.map(({ placement, perThread, spread }) => [
            placement,
            integer(Math.min(...perThread)),
            integer(Math.max(...perThread)),
            percent(spread),
          ]),
        },
      ],
      targets: [
        atMost('least-connections: the most less the fewest, of the mean', 0.02, spreadOf('least-connections')),
        atMost('round-robin: the same', 0.02, spreadOf('round-robin')),
      ],
      notes: [
        '`cpu` follows the CPUs on which the clients run, as there is no network card: two of four threads at most.',
      ],
      failures: runs
        .filter(({ perThread }) => perThread.reduce((sum, count) => sum + count, 0) !== connections)
        .map(({ placement }) => `${placement}: not all connections were there`),
    }
  },
}
