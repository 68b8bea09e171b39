import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { compiledPeers } from '../harness/paths.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { medianOf } from '../harness/statistics.js'
import { decimal, integer } from '../harness/table.js'
import { atLeast, atMost, measured } from '../harness/targets.js'

/** Compares minimal tasks of a WorkerPool with bare piscina, and measures a flood of tasks. */

const pools = { c1m: 'WorkerPool', piscina: 'piscina' } as const
type Pool = keyof typeof pools
type How = 'steady' | 'flood'

interface PoolRun {
  readonly pool: Pool
  readonly how: How
  readonly tasks: number
  readonly wrong: number
  readonly tasksPerSecond: number
  /** The memory of the process at its peak, minus that before. */
  readonly bytesPerTask: number
}

const run = promisify(execFile)

async function measure(pool: Pool, how: How, tasks: number): Promise<PoolRun> {
  const program = join(compiledPeers, 'worker-pool.js')
  const { stdout } = await run(process.execPath, ['--expose-gc', program, pool, how, String(tasks)])
  return { pool, how, ...(JSON.parse(stdout) as Omit<PoolRun, 'pool' | 'how'>) }
}

export const workerPool: Scenario = {
  name: 'worker-pool',
  async run({ quick, progress }: Context): Promise<Outcome> {
    const rounds = quick ? 1 : 3
    const tasks: Record<How, number> = quick ? { steady: 5000, flood: 20_000 } : { steady: 200_000, flood: 1_000_000 }
    const plan = (['steady', 'flood'] as const).flatMap((how) =>
      (['piscina', 'c1m'] as const).map((pool) => ({ pool, how })),
    )
    progress.begin(plan.length * rounds)
    const runs: PoolRun[] = []
    for (let round = 1; round <= rounds; round++) {
      for (const { pool, how } of plan) {
        progress.step(`worker-pool ${how}, round ${round} of ${rounds}: ${pools[pool]}`)
        runs.push(await measure(pool, how, tasks[how]))
      }
    }
    const of = (pool: Pool, how: How, value: (one: PoolRun) => number) =>
      medianOf(
        runs.filter((one) => one.pool === pool && one.how === how),
        value,
      )
    const rate = (pool: Pool, how: How) => of(pool, how, (one) => one.tasksPerSecond)
    return {
      runs,
      tables: [
        {
          title: 'tasks that add one to a number, two workers',
          columns: ['pool', '1,000 at a time: tasks/s', `${integer(tasks.flood)} at once: tasks/s`, 'memory a task, B'],
          rows: (['piscina', 'c1m'] as const).map((pool) => [
            pools[pool],
            integer(rate(pool, 'steady')),
            integer(rate(pool, 'flood')),
            decimal(
              of(pool, 'flood', (one) => one.bytesPerTask),
              0,
            ),
          ]),
        },
      ],
      targets: measured([
        atLeast("tasks a second, of piscina's", 0.9, rate('c1m', 'steady') / rate('piscina', 'steady')),
        atMost(
          'memory of a flood, B a task',
          2048,
          of('c1m', 'flood', (one) => one.bytesPerTask),
        ),
      ]),
      notes: ['The workers share two CPUs with the thread that gives them their tasks. Medians.'],
      failures: runs
        .filter(({ wrong }) => wrong > 0)
        .map(({ pool, how, wrong }) => `${pools[pool]}, ${how}: ${wrong} wrong`),
    }
  },
}
