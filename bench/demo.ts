import { parseArgs } from 'node:util'
import { connectionsWithinLimit } from './harness/descriptor-limit.js'
import { describeMachine } from './harness/machine.js'
import { type AcceptMode, measureAccept } from './harness/measure-accept.js'
import { type EchoRun, echoFailures, measureEcho } from './harness/measure-echo.js'
import { measureIdle } from './harness/measure-idle.js'
import { compileNative } from './harness/native.js'
import { enterNamespace, prepareNetwork } from './harness/network.js'
import { availablePeers, type Peer } from './harness/peers.js'
import { describePlacement, pinnedPlacement } from './harness/placement.js'
import { Progress } from './harness/progress.js'
import { medianOf } from './harness/statistics.js'
import { decimal, formatTable, integer, micros } from './harness/table.js'

/**
 * The same echo server on c1m and on node:net, each in a process of its own, under the same load. `--quick` is a short run that
 * shows whether everything works; its figures say little.
 */
const { quick = false } = parseArgs({ options: { quick: { type: 'boolean' } } }).values

const echoShape = { connections: 50, bytes: 64, depth: 1 } as const
const echoTiming = quick ? { warmupMs: 150, durationMs: 350 } : { warmupMs: 500, durationMs: 2500 }
const rounds = quick ? 1 : 2
const stepsPerRound = 2
const stepsAfter = 2
const accepted = connectionsWithinLimit(quick ? 3000 : 15_000)
const idle = connectionsWithinLimit(quick ? 2000 : 19_000)

/** All measurements of one server. */
interface Figures {
  readonly echo: EchoRun[]
  readonly accepts: number[]
  readonly acceptsWhileBusy: number[]
  idleBytes: number
}

const placement = pinnedPlacement()
const progress = new Progress()

async function measureAll(peers: readonly Peer[]): Promise<Map<Peer, Figures>> {
  const figures = new Map<Peer, Figures>()
  for (const peer of peers) figures.set(peer, { echo: [], accepts: [], acceptsWhileBusy: [], idleBytes: Number.NaN })
  progress.begin(peers.length * (rounds * stepsPerRound + stepsAfter))
  for (let round = 1; round <= rounds; round++) {
    for (const [peer, { echo, accepts }] of figures) {
      progress.step(`${peer.title}: echoing 64 B messages on ${echoShape.connections} connections`)
      echo.push(await measureEcho(peer, echoShape, echoTiming, placement))
      accepts.push(await acceptRate(peer, 'hold', `accepting ${integer(accepted)} connections`))
    }
  }
  for (const [peer, own] of figures) {
    own.acceptsWhileBusy.push(await acceptRate(peer, 'busy', 'accepting as many while it echoes'))
    progress.step(`${peer.title}: holding ${integer(idle)} idle connections`)
    own.idleBytes = (await measureIdle(peer, 'idle', idle, placement, true)).bytesPerConnection
  }
  progress.clear()
  return figures
}

async function acceptRate(peer: Peer, mode: AcceptMode, what: string): Promise<number> {
  progress.step(`${peer.title}: ${what}`)
  return (await measureAccept(peer, mode, accepted, placement)).connectionsPerSecond
}

type Row = readonly [name: string, value: (figures: Figures) => number, format: (value: number) => string]

const rows: readonly Row[] = [
  ['messages a second', ({ echo }) => medianOf(echo, (run) => run.messagesPerSecond), integer],
  ['user CPU per message, µs', ({ echo }) => medianOf(echo, (run) => run.userNs), micros],
  ['kernel CPU per message, µs', ({ echo }) => medianOf(echo, (run) => run.systemNs), micros],
  ['P50 latency, µs', ({ echo }) => medianOf(echo, (run) => run.p50Ns), micros],
  ['P99 latency, µs', ({ echo }) => medianOf(echo, (run) => run.p99Ns), micros],
  ['connections accepted a second', ({ accepts }) => medianOf(accepts, Number), integer],
  ['the same, while it echoes', ({ acceptsWhileBusy }) => medianOf(acceptsWhileBusy, Number), integer],
  ['RSS per idle connection, bytes', ({ idleBytes }) => idleBytes, integer],
]

function printTable(c1m: Figures, nodeNet: Figures): void {
  const cells = rows.map(([name, value, format]) => {
    const [ours, theirs] = [value(c1m), value(nodeNet)]
    return [name, format(ours), format(theirs), decimal(ours / theirs)]
  })
  const title = 'An echo server with 64 B messages on 50 connections, each server on one core'
  console.log(`\n${formatTable({ title, columns: ['', 'c1m', 'node:net', 'ratio'], rows: cells })}`)
}

async function main(): Promise<void> {
  enterNamespace()
  console.log('compiling the load generator')
  compileNative()
  const network = prepareNetwork()
  const machine = describeMachine()
  console.log(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.versions.node}`)
  console.log(`${describePlacement(placement)}; congestion control ${network.congestion}\n`)
  const peers = availablePeers().filter(({ name }) => name === 'c1m' || name === 'node-net')
  const [c1m, nodeNet] = [...(await measureAll(peers)).values()]
  if (c1m === undefined || nodeNet === undefined) throw new Error('c1m and node:net are always available')
  printTable(c1m, nodeNet)
  const failures = [...c1m.echo, ...nodeNet.echo].flatMap(echoFailures)
  if (failures.length > 0) throw new Error(failures.join('\n'))
}

main().catch((error: Error) => {
  console.error(`\n${error.message}`)
  process.exit(1)
})
