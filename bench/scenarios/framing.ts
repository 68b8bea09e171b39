import type { EchoShape, Timing } from '../harness/load.js'
import { type EchoRun, echoFailures, measureEcho } from '../harness/measure-echo.js'
import { type Peer, type PeerName, split2Peer } from '../harness/peers.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { medianOf } from '../harness/statistics.js'
import { integer, micros, percent, type Table } from '../harness/table.js'
import { atLeast, measured, type Target } from '../harness/targets.js'

/** Measures small frames, 16 in a segment, with a reply to each, and compares the usual splitters for `node:net`. */

type Frames = NonNullable<EchoShape['frames']>

const cells: readonly { readonly title: string; readonly frames: Frames }[] = [
  { title: 'lines', frames: 'lines' },
  { title: 'messages with their length in front', frames: 'prefixed' },
]
const shape = { connections: 50, bytes: 32, depth: 16 } as const

export const framing: Scenario = {
  name: 'framing',
  async run(context: Context): Promise<Outcome> {
    const rounds = context.quick ? 1 : 3
    const timing: Timing = context.quick ? { warmupMs: 150, durationMs: 350 } : { warmupMs: 500, durationMs: 2500 }
    const plan = cells.flatMap((cell) => peersOf(cell.frames, context).map((peer) => ({ ...cell, peer })))
    context.progress.begin(plan.length * rounds)
    const runs: EchoRun[] = []
    for (let round = 1; round <= rounds; round++) {
      for (const { title, frames, peer } of plan) {
        context.progress.step(`framing ${title}, round ${round} of ${rounds}: ${peer.title}`)
        runs.push(await measureEcho(peer, { ...shape, frames }, timing, context.pinned))
      }
    }
    return {
      runs,
      tables: cells.map(({ title, frames }) => table(title, frames, context, runs)),
      targets: measured(targets(runs)),
      notes: [
        `${shape.bytes} B a frame, 16 in a segment, ${shape.connections} connections, server on one core. Medians.`,
      ],
      failures: runs.flatMap(echoFailures),
    }
  },
}

function peersOf(frames: Frames, { peers }: Context): Peer[] {
  const some = peers.filter(({ name }) => name === 'c1m' || name === 'node-net')
  return frames === 'lines' && some.some(({ name }) => name === 'node-net') ? [...some, split2Peer] : some
}

function of(runs: readonly EchoRun[], frames: Frames, peer: PeerName, value: (run: EchoRun) => number): number {
  return medianOf(
    runs.filter((run) => run.frames === frames && run.peer === peer),
    value,
  )
}

function table(title: string, frames: Frames, context: Context, runs: readonly EchoRun[]): Table {
  const rows = peersOf(frames, context).map(({ name, title: peer }) => [
    peer,
    integer(of(runs, frames, name, (run) => run.messagesPerSecond)),
    micros(of(runs, frames, name, (run) => run.userNs)),
    micros(of(runs, frames, name, (run) => run.systemNs)),
    micros(of(runs, frames, name, (run) => run.p99Ns)),
    percent(of(runs, frames, name, (run) => run.serverShare)),
    percent(of(runs, frames, name, (run) => run.loadShare)),
  ])
  return {
    title: `${title}, 16 in a segment`,
    columns: ['server', 'messages/s', 'user µs', 'kernel µs', 'P99 µs', 'server CPU', 'load CPU'],
    rows,
  }
}

function targets(runs: readonly EchoRun[]): Target[] {
  const rate = (frames: Frames, peer: PeerName) => of(runs, frames, peer, (run) => run.messagesPerSecond)
  return [
    ...cells.map(({ title, frames }) =>
      atLeast(`${title}: throughput, of node:net's with a splitter`, 5, rate(frames, 'c1m') / rate(frames, 'node-net')),
    ),
    atLeast("lines: throughput, of split2's", 5, rate('lines', 'c1m') / rate('lines', 'split2')),
  ]
}
