import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Placement, type PoolPlacement, Reactor, ReactorPool } from 'c1m'
import { connectionsWithinLimit } from '../harness/descriptor-limit.js'
import { HoldLoad } from '../harness/load.js'
import { compiledPeers } from '../harness/paths.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { integer, percent } from '../harness/table.js'
import { atMost } from '../harness/targets.js'

/** Measures how evenly connections are distributed over the four I/O threads of a reactor, or workers of a pool. */

const SIZE = 4
const LOADS = 2
const over = {
  threads: ['least-connections', 'round-robin', 'source-hash', 'reuse-port', 'cpu'],
  workers: ['least-connections', 'reuse-port', 'cpu'],
} as const satisfies { threads: Placement[]; workers: PoolPlacement[] }
const called = { threads: 'I/O threads', workers: 'worker processes' } as const
type Over = keyof typeof over

interface BalanceRun {
  readonly over: Over
  readonly placement: Placement
  readonly connections: number
  /** The number of connections of each thread or worker. */
  readonly shares: readonly number[]
  /** The difference of max and min, divided by the mean. */
  readonly spread: number
}

/** A measured server: its port, the connections of each part, and its end. */
interface Spreader {
  readonly port: number
  shares(): Promise<number[]>
  close(): Promise<unknown>
}

async function spreadOverThreads(placement: Placement): Promise<Spreader> {
  const reactor = new Reactor({ ioThreads: { count: SIZE } })
  const listener = await reactor.listen({ host: '127.0.0.1', port: 0, placement })
  return {
    port: listener.port as number,
    shares: async () => reactor.stats().ioThreads.map((thread) => thread.connections),
    close: () => reactor.shutdown(),
  }
}

async function spreadOverWorkers(placement: PoolPlacement): Promise<Spreader> {
  const pool = new ReactorPool({ module: join(compiledPeers, 'pool-worker.js'), size: SIZE, mode: 'processes' })
  const { port } = await pool.listen({ host: '127.0.0.1', port: 0, placement })
  return {
    port: port as number,
    shares: async () => (await pool.stats()).workers.map((worker) => worker.reactor.connections),
    close: () => pool.shutdown(),
  }
}

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0)

async function measure(run: Pick<BalanceRun, 'over' | 'placement'>, connections: number, cpu?: number) {
  const spreader =
    run.over === 'threads'
      ? await spreadOverThreads(run.placement)
      : await spreadOverWorkers(run.placement as PoolPlacement)
  // Several client processes, because one may not have as many descriptors.
  const loads = Array.from({ length: LOADS }, () => new HoldLoad(spreader.port, cpu))
  for (const load of loads) await load.open(connections / LOADS)
  let shares = await spreader.shares()
  for (; sum(shares) < connections; shares = await spreader.shares()) await sleep(5)
  for (const load of loads) {
    await load.close('reset')
    await load.stop()
  }
  await spreader.close()
  const spread = (Math.max(...shares) - Math.min(...shares)) / (connections / SIZE)
  return { ...run, connections, shares, spread }
}

export const balance: Scenario = {
  name: 'balance',
  async run(context: Context): Promise<Outcome> {
    // The threads share the descriptors of one process; workers have their own.
    const connections = context.quick
      ? { threads: 2000, workers: 2000 }
      : { threads: connectionsWithinLimit(20_000), workers: 20_000 }
    const plan = (Object.keys(over) as Over[]).flatMap((one) =>
      over[one].map((placement) => ({ over: one, placement })),
    )
    context.progress.begin(plan.length)
    const runs: BalanceRun[] = []
    for (const run of plan) {
      context.progress.step(`balance: ${run.placement}, ${called[run.over]}`)
      runs.push(await measure(run, connections[run.over], context.free.load))
    }
    const spreadOf = (one: Over, placement: Placement) =>
      runs.find((run) => run.over === one && run.placement === placement)?.spread ?? Number.NaN
    return {
      runs,
      tables: (Object.keys(over) as Over[]).map((one) => ({
        title: `${integer(connections[one])} connections over ${SIZE} ${called[one]}`,
        columns: ['placement', 'fewest', 'most', 'spread'],
        rows: runs
          .filter((run) => run.over === one)
          .map(({ placement, shares, spread }) => [
            placement,
            integer(Math.min(...shares)),
            integer(Math.max(...shares)),
            percent(spread),
          ]),
      })),
      targets: [
        atMost(
          'least-connections, threads: the most less the fewest, of the mean',
          0.02,
          spreadOf('threads', 'least-connections'),
        ),
        atMost('round-robin, threads: the same', 0.02, spreadOf('threads', 'round-robin')),
        atMost('least-connections, workers: the same', 0.02, spreadOf('workers', 'least-connections')),
      ],
      notes: ['`cpu` follows the CPUs on which the clients run, as there is no network card: two of four at most.'],
      failures: runs
        .filter(({ shares, connections: all }) => sum(shares) !== all)
        .map((run) => `${run.placement}, ${called[run.over]}: not all connections were there`),
    }
  },
}
