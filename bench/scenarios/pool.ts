import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ReactorPool } from 'c1m'
import { LineProcess, number } from '../harness/line-process.js'
import { compiledPeers } from '../harness/paths.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { decimal, integer } from '../harness/table.js'
import { atMost } from '../harness/targets.js'

/** Kills the worker processes of a pool under load one after the other, and restarts them one after the other. */

const SIZE = 4
const LONG = 40
const SHORT = 4
const happenings = { killed: 'a worker killed every 2 s', restarted: 'a rolling restart' } as const
const placements = ['reuse-port', 'least-connections'] as const

interface PoolRun {
  readonly happening: keyof typeof happenings
  readonly placement: (typeof placements)[number]
  /** The number of workers that ended. */
  readonly ended: number
  readonly answered: number
  /** The number of requests without a reply, on connections of workers that weren't killed. */
  readonly lostElsewhere: number
  readonly fresh: number
  readonly failed: number
  readonly slowestMs: number
  readonly longestOutageMs: number
}

interface Kills {
  readonly times: number
  readonly everyMs: number
}

const kills: Kills = { times: 15, everyMs: 2000 }
/** The successor of one has started by then. */
const quickKills: Kills = { times: 1, everyMs: 1000 }

/** Answers with the processes that were killed. */
async function kill(pool: ReactorPool, { times, everyMs }: Kills): Promise<string[]> {
  const killed: string[] = []
  for (let time = 0; time < times; time++) {
    const { workers } = await pool.stats()
    // A worker that is being restarted is skipped.
    const victim = workers.find(({ index }) => index === time % SIZE) ?? workers[0]
    if (victim !== undefined) {
      process.kill(victim.id, 'SIGKILL')
      killed.push(String(victim.id))
    }
    await sleep(everyMs)
  }
  return killed
}

async function measure(run: Pick<PoolRun, 'happening' | 'placement'>, quick: boolean): Promise<PoolRun> {
  const module = join(compiledPeers, 'pool-worker.js')
  const pool = new ReactorPool({ module, size: SIZE, mode: 'processes' })
  const { port } = await pool.listen({ host: '127.0.0.1', port: 0, placement: run.placement })
  const load = new LineProcess('load', [
    process.execPath,
    join(compiledPeers, 'pool-load.js'),
    ...[port, LONG, SHORT].map(String),
  ])
  await load.next('loading')
  await sleep(500)
  let killed: string[] = []
  if (run.happening === 'killed') killed = await kill(pool, quick ? quickKills : kills)
  else await pool.restart()
  load.tell('over')
  const loaded = await load.next('loaded')
  const { crashes, restarts } = await pool.stats()
  await pool.shutdown({ timeoutMs: 0 })
  const lost = JSON.parse(String(loaded.lost)) as Record<string, number>
  const elsewhere = Object.entries(lost).filter(([worker]) => !killed.includes(worker))
  return {
    ...run,
    ended: run.happening === 'killed' ? crashes : restarts,
    answered: number(loaded, 'answered'),
    lostElsewhere: elsewhere.reduce((sum, [, count]) => sum + count, 0),
    fresh: number(loaded, 'fresh'),
    failed: number(loaded, 'failed'),
    slowestMs: number(loaded, 'slowestMs'),
    longestOutageMs: number(loaded, 'longestOutageMs'),
  }
}

function failuresOf({ happening, placement, lostElsewhere, failed }: PoolRun): string[] {
  const where = `${happenings[happening]}, ${placement}`
  const failures = lostElsewhere > 0 ? [`${where}: ${lostElsewhere} lost of workers that lived`] : []
  if (happening === 'restarted' && failed > 0) failures.push(`${where}: ${failed} new connections failed`)
  return failures
}

export const pool: Scenario = {
  name: 'pool',
  async run({ quick, progress }: Context): Promise<Outcome> {
    const plan = (['killed', 'restarted'] as const).flatMap((happening) =>
      placements.map((placement) => ({ happening, placement })),
    )
    progress.begin(plan.length)
    const runs: PoolRun[] = []
    for (const run of plan) {
      progress.step(`pool, ${run.placement}: ${happenings[run.happening]}`)
      runs.push(await measure(run, quick))
    }
    const most = (happening: PoolRun['happening'], value: (run: PoolRun) => number) =>
      Math.max(...runs.filter((run) => run.happening === happening).map(value))
    return {
      runs,
      tables: [
        {
          title: `${SIZE} worker processes, ${LONG} connections that ask, and ${SHORT} at a time that come to ask once`,
          columns: [
            'what happens',
            'placement',
            'workers ended',
            'lost elsewhere',
            'new',
            'failed',
            'slowest, ms',
            'outage, ms',
          ],
          rows: runs.map((run) => [
            happenings[run.happening],
            run.placement,
            integer(run.ended),
            integer(run.lostElsewhere),
            integer(run.fresh),
            integer(run.failed),
            decimal(run.slowestMs, 0),
            decimal(run.longestOutageMs, 0),
          ]),
        },
      ],
      targets: [
        atMost(
          'killed: questions lost by connections of other workers',
          0,
          most('killed', (run) => run.lostElsewhere),
        ),
        atMost(
          'killed: the longest time without a new connection, ms',
          100,
          most('killed', (run) => run.longestOutageMs),
        ),
        atMost(
          'restarted: questions lost',
          0,
          most('restarted', (run) => run.lostElsewhere + run.failed),
        ),
      ],
      notes: [
        '"Failed" are new connections that a worker had accepted when it was killed, or that were on their way to it; "outage" is ' +
          'the time from such a failure until the next one to come was answered; "slowest" the longest that one waited for its answer.',
      ],
      failures: runs.flatMap(failuresOf),
    }
  },
}
