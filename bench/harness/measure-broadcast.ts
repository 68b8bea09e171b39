import { setTimeout as sleep } from 'node:timers/promises'
import { LineProcess, number } from './line-process.js'
import { startEchoLoad } from './load.js'
import { crowdProgram } from './paths.js'
import { type Placement, pinned } from './placement.js'
import { cpuUse, sampleCpu } from './process-stats.js'

export type BroadcastPeerName = 'raw' | 'c1m' | 'node-net'

/** A server that broadcasts. */
export interface BroadcastPeer {
  readonly name: BroadcastPeerName
  readonly title: string
  readonly command: [string, ...string[]]
  /** True if it has a second port, which echoes meanwhile. */
  readonly echoes: boolean
}

export interface BroadcastShape {
  readonly connections: number
  readonly bytes: number
  readonly rounds: number
}

export interface BroadcastRun extends BroadcastShape {
  readonly peer: BroadcastPeerName
  /** Per connection and round: time from the first call to the last byte in the kernel, and CPU time of the server. */
  readonly elapsedNs: number
  readonly cpuNs: number
  /** Latency of echoes on other connections of the same server during continuous broadcasts; NaN without `echoes`. */
  readonly echoP50Ns: number
  readonly echoP99Ns: number
  readonly echoMaxNs: number
  readonly errors: number
}

const openTimeoutMs = 60_000
const receiveTimeoutMs = 30_000
const echoShape = { connections: 4, bytes: 64, depth: 1 } as const

export async function measureBroadcast(
  peer: BroadcastPeer,
  shape: BroadcastShape,
  placement: Placement,
): Promise<BroadcastRun> {
  const server = new LineProcess(peer.title, pinned(placement.server, peer.command))
  const listening = await server.next('listening', 15_000)
  const crowd = new LineProcess('crowd', [
    ...([crowdProgram, '--port', String(number(listening, 'port'))] as const),
    ...['--cpu', String(placement.load ?? -1)],
  ])
  const opened = await crowd.ask(`open ${shape.connections} ${openTimeoutMs}`, 'opened', openTimeoutMs)
  if (number(opened, 'connections') !== shape.connections)
    throw new Error(`not all connections were opened: ${JSON.stringify(opened)}`)
  await reaches(server, shape.connections)

  // A warm-up round, because of cold code, and sockets that have never sent.
  const warm = await broadcast(server, crowd, { ...shape, rounds: 2 })
  const before = sampleCpu(server.pid)
  const run = await broadcast(server, crowd, shape)
  const { userNs, systemNs } = cpuUse(server.pid, before, sampleCpu(server.pid))
  const echo = peer.echoes
    ? await beside(server, crowd, number(listening, 'echoPort'), shape, placement)
    : { echoP50Ns: Number.NaN, echoP99Ns: Number.NaN, echoMaxNs: Number.NaN, errors: 0 }
  await crowd.stop()
  await server.stop()
  const sends = shape.connections * shape.rounds
  return {
    peer: peer.name,
    ...shape,
    elapsedNs: (run.micros * 1000) / sends,
    cpuNs: (userNs + systemNs) / sends,
    ...echo,
    errors: warm.errors + run.errors + echo.errors,
  }
}

async function reaches(server: LineProcess, connections: number): Promise<void> {
  const deadline = performance.now() + 10_000
  while (number(await server.ask('stats', 'stats'), 'connections') !== connections) {
    if (performance.now() > deadline) throw new Error(`${server.name} doesn't have ${connections} connections`)
    await sleep(10)
  }
}

async function broadcast(
  server: LineProcess,
  crowd: LineProcess,
  { rounds, bytes }: BroadcastShape,
): Promise<{ micros: number; errors: number }> {
  const received = crowd.ask(`receive ${rounds * bytes} ${receiveTimeoutMs}`, 'received')
  const done = await server.ask(`broadcast ${rounds} ${bytes}`, 'broadcasted')
  return { micros: number(done, 'micros'), errors: number(done, 'errors') + number(await received, 'wrong') }
}

/** Broadcasts for longer than the echo is measured. */
async function beside(
  server: LineProcess,
  crowd: LineProcess,
  port: number,
  shape: BroadcastShape,
  placement: Placement,
): Promise<Pick<BroadcastRun, 'echoP50Ns' | 'echoP99Ns' | 'echoMaxNs' | 'errors'>> {
  const load = startEchoLoad(port, placement.load, echoShape, { warmupMs: 200, durationMs: 1000 })
  await load.next('measuring')
  let measuring = true
  const result = load.next('result').finally(() => {
    measuring = false
  })
  let errors = 0
  while (measuring) errors += (await broadcast(server, crowd, { ...shape, rounds: 3 })).errors
  const echo = await result
  await load.stop()
  return {
    echoP50Ns: number(echo, 'p50Ns'),
    echoP99Ns: number(echo, 'p99Ns'),
    echoMaxNs: number(echo, 'maxNs'),
    errors: errors + number(echo, 'errors'),
  }
}
