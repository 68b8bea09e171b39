import { connectionsWithinLimit } from '../harness/descriptor-limit.js'
import { type AcceptMode, type AcceptRun, busyShape, measureAccept } from '../harness/measure-accept.js'
import type { Peer, PeerName } from '../harness/peers.js'
import { type Context, type Outcome, peersOf, type Scenario } from '../harness/scenario.js'
import { medianOf } from '../harness/statistics.js'
import { integer, micros, type Table } from '../harness/table.js'
import { atLeast, measured, type Target } from '../harness/targets.js'

/** Measures new connections per second. */

const modes: Record<AcceptMode, string> = {
  hold: 'opened and held',
  churn: 'opened and closed',
  busy: 'opened and held while the server echoes',
}
const modeNames = ['hold', 'churn', 'busy'] as const

export const accept: Scenario = {
  name: 'accept',
  async run(context: Context): Promise<Outcome> {
    const { quick, pinned, progress } = context
    const peers = peersOf(context, ['c1m', 'node-net'])
    const rounds = quick ? 1 : 5
    const connections = connectionsWithinLimit(quick ? 3000 : 15_000)
    progress.begin(rounds * peers.length * modeNames.length)
    const runs: AcceptRun[] = []
    for (const mode of modeNames) {
      for (let round = 1; round <= rounds; round++) {
        for (const peer of peers) {
          progress.step(`accept, ${modes[mode]}, round ${round} of ${rounds}: ${peer.title}`)
          runs.push(await measureAccept(peer, mode, connections, pinned))
        }
      }
    }
    return {
      runs,
      tables: modeNames.map((mode) => acceptTable(peers, mode, connections, runs)),
      targets: measured(modeNames.flatMap((mode) => modeTargets(mode, runs))),
      notes: [
        'From the first connect until the handler has run for the last connection. At most 256 wait in the accept queue ' +
          'at any time. The handshake runs on the CPU of the load, which is the limit where the server waits for it.',
        `"While the server echoes": ${busyShape.connections} other connections in a closed loop of ${busyShape.bytes} B.`,
      ],
      failures: [],
    }
  },
}

function runsOf(runs: readonly AcceptRun[], mode: AcceptMode, peer: PeerName): AcceptRun[] {
  return runs.filter((run) => run.mode === mode && run.peer === peer)
}

function modeTargets(mode: AcceptMode, runs: readonly AcceptRun[]): Target[] {
  const rate = (peer: PeerName) => medianOf(runsOf(runs, mode, peer), (run) => run.connectionsPerSecond)
  return [
    atLeast(`${modes[mode]}: connections a second, of node:net's`, 8, rate('c1m') / rate('node-net')),
    atLeast(`${modes[mode]}: connections a second, of raw C's`, 0.7, rate('c1m') / rate('raw')),
  ]
}

function acceptTable(peers: readonly Peer[], mode: AcceptMode, connections: number, runs: readonly AcceptRun[]): Table {
  const rows = peers.map(({ name, title }) => {
    const own = runsOf(runs, mode, name)
    return [
      title,
      integer(medianOf(own, (run) => run.connectionsPerSecond)),
      micros(medianOf(own, (run) => run.userNs)),
      micros(medianOf(own, (run) => run.systemNs)),
    ]
  })
  const columns = ['server', 'connections/s', 'user µs', 'kernel µs']
  return { title: `${integer(connections)} connections ${modes[mode]}, server on one core`, columns, rows }
}
