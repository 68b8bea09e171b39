import { connectionsWithinLimit } from '../harness/descriptor-limit.js'
import { type IdleRun, measureIdle } from '../harness/measure-idle.js'
import type { Peer, PeerName } from '../harness/peers.js'
import { type Context, type Outcome, peersOf, type Scenario } from '../harness/scenario.js'
import { medianOf } from '../harness/statistics.js'
import { integer, mebibytes, type Table } from '../harness/table.js'
import { atMost, measured } from '../harness/targets.js'

/** Measures a server's memory per idle connection. The kernel's own, about 4 KB a side, isn't in RSS. */

const modes = {
  idle: 'no open handler',
  store: 'open stores an object',
} as const

type IdleMode = keyof typeof modes

const allModes = ['idle', 'store'] as const
/** The other one is the demo's. */
const quickModes = ['store'] as const

export const idle: Scenario = {
  name: 'idle',
  async run(context: Context): Promise<Outcome> {
    const { progress, pinned } = context
    const peers = peersOf(context, ['c1m', 'node-net'])
    const rounds = context.quick ? 1 : 3
    const connections = connectionsWithinLimit(context.quick ? 3000 : 19_000)
    const measuredModes = context.quick ? quickModes : allModes
    progress.begin(rounds * peers.length * measuredModes.length)
    const runs: IdleRun[] = []
    for (let round = 1; round <= rounds; round++) {
      for (const mode of measuredModes) {
        for (const peer of peers) {
          progress.step(`idle, ${modes[mode]}, round ${round} of ${rounds}: ${peer.title}`)
          runs.push(await measureIdle(peer, mode, connections, pinned, context.quick))
        }
      }
    }
    const bytes = (peer: PeerName, mode: IdleMode) =>
      medianOf(
        runs.filter((run) => run.peer === peer && run.mode === mode),
        (run) => run.bytesPerConnection,
      )
    return {
      runs,
      tables: measuredModes.map((mode) => idleTable(peers, mode, connections, runs)),
      targets: measured([
        atMost(`c1m, ${modes.idle}: bytes of RSS per connection`, 200, bytes('c1m', 'idle')),
        atMost(`c1m, ${modes.store}: bytes of RSS per connection`, 320, bytes('c1m', 'store')),
      ]),
      notes: [
        'RSS with the connections less RSS before them, each after garbage collections; medians of new processes.',
      ],
      failures: [],
    }
  },
}

function idleTable(peers: readonly Peer[], mode: IdleMode, connections: number, runs: readonly IdleRun[]): Table {
  const rows = peers.map((peer) => {
    const own = runs.filter((run) => run.peer === peer.name && run.mode === mode)
    const each = own.map((run) => run.bytesPerConnection)
    return [
      peer.title,
      integer(medianOf(own, (run) => run.bytesPerConnection)),
      `${integer(Math.min(...each))} to ${integer(Math.max(...each))}`,
      mebibytes(medianOf(own, (run) => run.baselineBytes)),
      mebibytes(medianOf(own, (run) => run.heldBytes)),
    ]
  })
  const columns = ['server', 'bytes each', 'range', 'MiB before', 'MiB with them']
  return { title: `${integer(connections)} idle connections, ${modes[mode]}`, columns, rows }
}
