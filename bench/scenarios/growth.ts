import { connectionsWithinLimit } from '../harness/descriptor-limit.js'
import { HoldLoad } from '../harness/load.js'
import type { Peer, PeerName } from '../harness/peers.js'
import { openDescriptors } from '../harness/process-stats.js'
import { type Context, type Outcome, peersOf, type Scenario } from '../harness/scenario.js'
import { Server } from '../harness/server.js'
import { settledBytes } from '../harness/settled-memory.js'
import { integer, mebibytes } from '../harness/table.js'
import { atMost, measured } from '../harness/targets.js'

/** Opens, uses and closes connections in rounds, and measures what stays behind. */

const bytes = 64
const compared: readonly PeerName[] = ['c1m', 'node-net', 'bun']

interface GrowthRun {
  readonly peer: PeerName
  readonly connections: number
  /** The RSS after each round, with all connections closed and garbage collected. */
  readonly residentBytes: readonly number[]
  readonly descriptors: readonly number[]
  readonly errors: number
}

export const growth: Scenario = {
  name: 'growth',
  async run(context: Context): Promise<Outcome> {
    const { quick, progress } = context
    const peers = peersOf(context, ['c1m']).filter(({ name }) => compared.includes(name))
    const rounds = quick ? 3 : 10
    const connections = connectionsWithinLimit(quick ? 2000 : 15_000)
    progress.begin(rounds * peers.length)
    const runs: GrowthRun[] = []
    for (const peer of peers) runs.push(await measureGrowth(context, peer, rounds, connections))
    const own = runs.find(({ peer }) => peer === 'c1m')
    return {
      runs,
      tables: [
        {
          title: `${rounds} rounds of ${integer(connections)} connections opened, used and closed`,
          columns: ['server', 'MiB after round 2', `MiB after round ${rounds}`, 'descriptors', 'bytes a connection'],
          rows: runs.map((run) => [
            peers.find(({ name }) => name === run.peer)?.title ?? run.peer,
            mebibytes(second(run.residentBytes)),
            mebibytes(last(run.residentBytes)),
            `${second(run.descriptors)} → ${last(run.descriptors)}`,
            integer(leftBehind(run)),
          ]),
        },
      ],
      targets: measured([
        atMost(
          `RSS after round ${rounds}, of that after round 2`,
          1.02,
          own === undefined ? Number.NaN : rssRatio(own),
        ),
      ]),
      notes: ['The last column is the growth since round 2 over all connections since then.'],
      failures: runs.flatMap(failures),
    }
  },
}

async function measureGrowth(
  { pinned, progress, quick }: Context,
  peer: Peer,
  rounds: number,
  connections: number,
): Promise<GrowthRun> {
  const server = await Server.start(peer, 'echo', pinned.server)
  const load = new HoldLoad(server.port, pinned.load)
  const run = { residentBytes: [] as number[], descriptors: [] as number[], errors: 0 }
  for (let round = 1; round <= rounds; round++) {
    progress.step(`growth, round ${round} of ${rounds}: ${peer.title}`)
    await load.open(connections)
    run.errors += await load.use(bytes)
    run.errors += await load.close('fin')
    await server.reaches(0)
    run.residentBytes.push(await settledBytes(server, quick))
    run.descriptors.push(openDescriptors(server.pid))
  }
  await load.stop()
  await server.stop()
  return { peer: peer.name, connections, ...run }
}

const second = (values: readonly number[]): number => values[1] ?? Number.NaN
const last = (values: readonly number[]): number => values.at(-1) ?? Number.NaN

function rssRatio(run: GrowthRun): number {
  return last(run.residentBytes) / second(run.residentBytes)
}

function leftBehind(run: GrowthRun): number {
  const connections = run.connections * (run.residentBytes.length - 2)
  return (last(run.residentBytes) - second(run.residentBytes)) / connections
}

function failures(run: GrowthRun): string[] {
  const found: string[] = []
  if (run.errors > 0) found.push(`${run.peer}: ${run.errors} connections weren't echoed to or closed`)
  if (run.peer === 'c1m' && last(run.descriptors) > second(run.descriptors)) {
    found.push(`c1m: descriptors ${run.descriptors.join(', ')}`)
  }
  return found
}
