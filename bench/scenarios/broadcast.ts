import { join } from 'node:path'
import { connectionsWithinLimit } from '../harness/descriptor-limit.js'
import { type BroadcastPeer, type BroadcastRun, measureBroadcast } from '../harness/measure-broadcast.js'
import { compiledPeers, rawBroadcastProgram } from '../harness/paths.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { medianOf } from '../harness/statistics.js'
import { decimal, integer, micros } from '../harness/table.js'
import { atLeast, atMost, measured } from '../harness/targets.js'

/** Sends the same 100 bytes to very many connections: the cost for each, and the effect on other connections. */

const bytes = 100

const broadcastPeers: readonly BroadcastPeer[] = [
  { name: 'raw', title: 'raw C, a loop of send', command: [rawBroadcastProgram], echoes: false },
  { name: 'c1m', title: 'c1m, group.broadcast', command: nodePeer('broadcast-c1m.js'), echoes: true },
  { name: 'node-net', title: 'node:net, a loop of write', command: nodePeer('broadcast-node-net.js'), echoes: true },
]

function nodePeer(file: string): [string, ...string[]] {
  return [process.execPath, join(compiledPeers, file)]
}

export const broadcast: Scenario = {
  name: 'broadcast',
  async run(context: Context): Promise<Outcome> {
    const { progress, pinned, quick } = context
    const peers = broadcastPeers.filter(({ name }) => context.peers.some((peer) => peer.name === name))
    const shape = { connections: connectionsWithinLimit(quick ? 2000 : 15_000), bytes, rounds: quick ? 5 : 30 }
    const turns = quick ? 1 : 3
    progress.begin(turns * peers.length)
    const runs: BroadcastRun[] = []
    for (let turn = 1; turn <= turns; turn++) {
      for (const peer of peers) {
        progress.step(`broadcast, round ${turn} of ${turns}: ${peer.title}`)
        runs.push(await measureBroadcast(peer, shape, pinned))
      }
    }
    const of = (name: BroadcastPeer['name'], value: (run: BroadcastRun) => number) =>
      medianOf(
        runs.filter((run) => run.peer === name),
        value,
      )
    const elapsed = (name: BroadcastPeer['name']) => of(name, (run) => run.elapsedNs)
    const cpu = (name: BroadcastPeer['name']) => of(name, (run) => run.cpuNs)
    return {
      runs,
      tables: [
        {
          title: `${bytes} B to ${integer(shape.connections)} connections`,
          columns: ['server', 'µs a connection', 'CPU µs', 'times raw C', 'echo P50 µs', 'echo P99 µs', 'max µs'],
          rows: peers.map(({ name, title }) => [
            title,
            micros(elapsed(name)),
            micros(cpu(name)),
            decimal(elapsed(name) / elapsed('raw')),
            micros(of(name, (run) => run.echoP50Ns)),
            micros(of(name, (run) => run.echoP99Ns)),
            micros(of(name, (run) => run.echoMaxNs)),
          ]),
        },
      ],
      targets: measured([
        atMost('c1m: time a connection, times raw C', 1.15, elapsed('c1m') / elapsed('raw')),
        atMost('c1m: CPU a connection, times raw C', 1.15, cpu('c1m') / cpu('raw')),
        atLeast('c1m: times faster than node:net', 1.7, elapsed('node-net') / elapsed('c1m')),
        atMost('c1m: P99 of an echo meanwhile, ms', 5, of('c1m', (run) => run.echoP99Ns) / 1e6),
      ]),
      notes: [
        `${shape.rounds} rounds, each when the one before has gone to the kernel. CPU is that of the whole server process. ` +
          'The echo is on 4 other connections of the same server, while broadcasts follow each other without a pause.',
      ],
      failures: runs.flatMap(({ peer, errors }) =>
        errors === 0 ? [] : [`${peer}: ${errors} connections missed bytes`],
      ),
    }
  },
}
