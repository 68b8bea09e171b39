import type { EchoShape, Timing } from '../harness/load.js'
import { type EchoRun, echoFailures, measureEcho } from '../harness/measure-echo.js'
import type { Peer, PeerName } from '../harness/peers.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { medianOf } from '../harness/statistics.js'
import { decimal, integer, micros, percent, type Table } from '../harness/table.js'
import { atLeast, atMost, measured, type Target } from '../harness/targets.js'

/** Measures throughput, CPU time per message and latency of a closed echo loop. */

interface Cell extends EchoShape {
  readonly title: string
  /** Gives the server one core of its own, or all. */
  readonly cores: 'one' | 'free'
}

type CellRun = EchoRun & Pick<Cell, 'cores'>

const small = { bytes: 64, depth: 1 } as const

const allCells: readonly Cell[] = [
  { title: '64 B, 1 connection', connections: 1, ...small, cores: 'one' },
  { title: '64 B, 50 connections', connections: 50, ...small, cores: 'one' },
  { title: '64 B, 1,000 connections', connections: 1000, ...small, cores: 'one' },
  { title: '64 B, 16 pipelined, 50 connections', connections: 50, bytes: 64, depth: 16, cores: 'one' },
  { title: '16 KiB, 50 connections', connections: 50, bytes: 16_384, depth: 1, cores: 'one' },
  { title: '1 MiB, 10 connections', connections: 10, bytes: 1_048_576, depth: 1, cores: 'one' },
  { title: '64 B, 50 connections', connections: 50, ...small, cores: 'free' },
  { title: '64 B, 1,000 connections', connections: 1000, ...small, cores: 'free' },
]

const quickCells = allCells.filter(
  ({ bytes, connections, cores }) => cores === 'one' && bytes !== 16_384 && connections !== 1000 && connections !== 1,
)

export const echo: Scenario = {
  name: 'echo',
  async run(context: Context): Promise<Outcome> {
    const cells = context.quick ? quickCells : allCells
    const rounds = context.quick ? 1 : 3
    const timing: Timing = context.quick ? { warmupMs: 150, durationMs: 350 } : { warmupMs: 500, durationMs: 2500 }
    context.progress.begin(cells.length * rounds * context.peers.length)
    const runs: CellRun[] = []
    for (const cell of cells) {
      for (let round = 1; round <= rounds; round++) {
        for (const peer of context.peers) {
          context.progress.step(`echo ${cell.title}, ${cell.cores} core, round ${round} of ${rounds}: ${peer.title}`)
          runs.push(await measureCell(peer, cell, timing, context))
        }
      }
    }
    return {
      runs,
      tables: cells.map((cell) => cellTable(cell, context.peers, runs)),
      targets: measured([...oneCoreTargets(runs), ...freeTargets(runs)]),
      notes: notes(runs),
      failures: runs.flatMap(echoFailures),
    }
  },
}

async function measureCell(peer: Peer, cell: Cell, timing: Timing, context: Context): Promise<CellRun> {
  const { connections, bytes, depth, cores } = cell
  const placement = cores === 'one' ? context.pinned : context.free
  return { cores, ...(await measureEcho(peer, { connections, bytes, depth }, timing, placement)) }
}

function runsOf(runs: readonly CellRun[], cell: Omit<Cell, 'title'>, peer: PeerName): CellRun[] {
  return runs.filter(
    (run) =>
      run.peer === peer &&
      run.cores === cell.cores &&
      run.connections === cell.connections &&
      run.bytes === cell.bytes &&
      run.depth === cell.depth,
  )
}

function cellTable(cell: Cell, peers: readonly Peer[], runs: readonly CellRun[]): Table {
  const free = cell.cores === 'free'
  const rows = peers.map((peer) => {
    const own = runsOf(runs, cell, peer.name)
    const of = (value: (run: CellRun) => number) => medianOf(own, value)
    return [
      peer.title,
      integer(of((run) => run.messagesPerSecond)),
      micros(of((run) => run.userNs)),
      micros(of((run) => run.systemNs)),
      micros(of((run) => run.p50Ns)),
      micros(of((run) => run.p99Ns)),
      percent(of((run) => run.serverShare)),
      percent(of((run) => run.loadShare)),
      ...(free ? [micros(of((run) => run.mainThreadNs)), percent(of((run) => run.mainThreadShare))] : []),
    ]
  })
  const columns = ['server', 'messages/s', 'user µs', 'kernel µs', 'P50 µs', 'P99 µs', 'server CPU', 'load CPU']
  if (free) columns.push('main thread µs', 'main thread CPU')
  return { title: `${cell.title}, ${free ? 'server not pinned' : 'server on one core'}`, columns, rows }
}

/** Returns the ratio of a median of c1m to that of another peer, or NaN, which is no target, if one wasn't measured. */
function ratio(runs: readonly CellRun[], cell: Omit<Cell, 'title'>, to: PeerName, value: (run: CellRun) => number) {
  return medianOf(runsOf(runs, cell, 'c1m'), value) / medianOf(runsOf(runs, cell, to), value)
}

const throughput = (run: CellRun) => run.messagesPerSecond
const totalCpu = (run: CellRun) => run.userNs + run.systemNs

function oneCoreTargets(runs: readonly CellRun[]): Target[] {
  const targets: Target[] = []
  for (const connections of [50, 1000]) {
    const cell = { connections, ...small, cores: 'one' } as const
    const where = `64 B, ${integer(connections)} connections:`
    targets.push(
      atMost(
        `${where} user CPU per message, of node:net's`,
        0.25,
        ratio(runs, cell, 'node-net', (run) => run.userNs),
      ),
      atMost(`${where} CPU per message, of raw C's`, 1.12, ratio(runs, cell, 'raw', totalCpu)),
      atLeast(`${where} throughput, of node:net's`, 1.5, ratio(runs, cell, 'node-net', throughput)),
      atLeast(`${where} throughput, of raw C's`, 0.95, ratio(runs, cell, 'raw', throughput)),
      atLeast(`${where} throughput, of Bun's`, 1, ratio(runs, cell, 'bun', throughput)),
      atMost(
        `${where} P99 latency, of node:net's`,
        1,
        ratio(runs, cell, 'node-net', (run) => run.p99Ns),
      ),
    )
  }
  const alone = { connections: 1, ...small, cores: 'one' } as const
  const median = ratio(runs, alone, 'node-net', (run) => run.p50Ns)
  targets.push(atMost("64 B, 1 connection: P50 latency, of node:net's", 1, median))
  for (const cell of allCells) {
    if (cell.bytes === 64 && cell.depth === 1) continue
    targets.push(atLeast(`${cell.title}: throughput, of node:net's`, 1, ratio(runs, cell, 'node-net', throughput)))
  }
  return targets
}

function jsMicros(runs: readonly CellRun[], connections: number): number {
  const own = runsOf(runs, { connections, ...small, cores: 'free' }, 'c1m')
  return medianOf(own, (run) => run.mainThreadNs) / 1000
}

function freeTargets(runs: readonly CellRun[]): Target[] {
  return [50, 1000].map((connections) =>
    atMost(
      `64 B, ${integer(connections)} connections, not pinned: the JS thread's µs per message`,
      0.4,
      jsMicros(runs, connections),
    ),
  )
}

function notes(runs: readonly CellRun[]): string[] {
  const congestion = [...new Set(runs.map((run) => run.congestion))].join(', ')
  const lines = [
    'Medians of the rounds. The CPU columns are shares of one core; a load at 100 % limits the throughput of a peer ' +
      `that isn't. Congestion control of the connections: ${congestion}.`,
  ]
  const each = jsMicros(runs, 1000)
  if (Number.isFinite(each)) {
    const cores = (600_000 * each) / 1e6
    lines.push(
      `600,000 messages a second at ${decimal(each)} µs each are ${decimal(cores)} of a core for c1m's JS thread.`,
    )
  }
  return lines
}
