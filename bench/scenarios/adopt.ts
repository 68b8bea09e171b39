import { join } from 'node:path'
import { connectionsWithinLimit } from '../harness/descriptor-limit.js'
import { compiledPeers } from '../harness/paths.js'
import type { Peer } from '../harness/peers.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { Server } from '../harness/server.js'
import { settledBytes } from '../harness/settled-memory.js'
import { medianOf } from '../harness/statistics.js'
import { integer, mebibytes } from '../harness/table.js'
import { atMost, measured } from '../harness/targets.js'
import { UpgradeLoad } from '../harness/upgrade-load.js'

/** Measures the memory of an idle connection that `http` has upgraded: as a `net.Socket`, and adopted. */

const ways = { held: 'http, held as net.Socket', moved: 'http, moved into c1m' } as const
type Way = keyof typeof ways

interface AdoptRun {
  readonly way: Way
  readonly connections: number
  readonly baselineBytes: number
  readonly heldBytes: number
  readonly bytesPerConnection: number
  /** The number of messages at the end that were not echoed. */
  readonly wrong: number
}

/** The number of connections before the baseline, as in `idle`, to load and compile all code paths. */
const warmupConnections = 500

function peerOf(way: Way): Peer {
  return {
    name: way === 'moved' ? 'c1m' : 'node-net',
    title: ways[way],
    command: () => [process.execPath, '--expose-gc', join(compiledPeers, 'upgrade.js'), way],
  }
}

async function measureAdopted(way: Way, connections: number, { pinned, quick }: Context): Promise<AdoptRun> {
  const server = await Server.start(peerOf(way), 'idle', pinned.server)
  const load = new UpgradeLoad(server.port)
  await load.open(warmupConnections)
  load.close()
  await server.reaches(0)
  const baselineBytes = await settledBytes(server, quick)

  await load.open(connections)
  await server.reaches(connections)
  const heldBytes = await settledBytes(server, quick)
  const wrong = await load.use()

  load.close()
  await server.reaches(0)
  await server.stop()
  const bytesPerConnection = (heldBytes - baselineBytes) / connections
  return { way, connections, baselineBytes, heldBytes, bytesPerConnection, wrong }
}

export const adopt: Scenario = {
  name: 'adopt',
  async run(context: Context): Promise<Outcome> {
    const { progress, quick } = context
    const rounds = quick ? 1 : 3
    const connections = connectionsWithinLimit(quick ? 2000 : 19_000)
    progress.begin(rounds * 2)
    const runs: AdoptRun[] = []
    for (let round = 1; round <= rounds; round++) {
      for (const way of ['held', 'moved'] as const) {
        progress.step(`adopt, round ${round} of ${rounds}: ${ways[way]}`)
        runs.push(await measureAdopted(way, connections, context))
      }
    }
    const own = (way: Way) => runs.filter((run) => run.way === way)
    const bytes = (way: Way) => medianOf(own(way), (run) => run.bytesPerConnection)
    const rows = (['held', 'moved'] as const).map((way) => {
      const each = own(way).map((run) => run.bytesPerConnection)
      return [
        ways[way],
        integer(bytes(way)),
        `${integer(Math.min(...each))} to ${integer(Math.max(...each))}`,
        mebibytes(medianOf(own(way), (run) => run.baselineBytes)),
        mebibytes(medianOf(own(way), (run) => run.heldBytes)),
      ]
    })
    const columns = ['server', 'bytes each', 'range', 'MiB before', 'MiB with them']
    return {
      runs,
      tables: [{ title: `${integer(connections)} idle connections that http has upgraded`, columns, rows }],
      targets: measured([atMost('moved into c1m: bytes of RSS per connection', 320, bytes('moved'))]),
      notes: [
        'RSS with the connections less RSS before them, each after garbage collections; medians of new processes. A socket that moved in has a Connection object, as its promise made one.',
      ],
      failures: runs
        .filter(({ wrong }) => wrong > 0)
        .map(({ way, wrong }) => `${ways[way]}: ${wrong} messages were not echoed`),
    }
  },
}
