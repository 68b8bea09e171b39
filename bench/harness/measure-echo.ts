import { type LineProcess, type Message, number } from './line-process.js'
import { type EchoShape, startEchoLoad, type Timing } from './load.js'
import type { Peer, PeerName } from './peers.js'
import type { Placement } from './placement.js'
import { cpuUse, sampleCpu } from './process-stats.js'
import { Server } from './server.js'

/** One measured run of the closed loop against one peer. Times are nanoseconds. */
export interface EchoRun extends EchoShape {
  readonly peer: PeerName
  readonly messages: number
  readonly messagesPerSecond: number
  /** CPU time of the server process per message. */
  readonly userNs: number
  readonly systemNs: number
  readonly mainThreadNs: number
  readonly ioThreadsNs: number
  /** Shares of one core: of the JS thread, of the server process, and of the load generator. */
  readonly mainThreadShare: number
  readonly serverShare: number
  readonly loadShare: number
  readonly p50Ns: number
  readonly p90Ns: number
  readonly p99Ns: number
  readonly p999Ns: number
  readonly maxNs: number
  readonly errors: number
  readonly lostBytes: number
  readonly congestion: string
}

export async function measureEcho(
  peer: Peer,
  shape: EchoShape,
  timing: Timing,
  placement: Placement,
): Promise<EchoRun> {
  const server = await Server.start(peer, shape.frames ?? 'echo', placement.server)
  const load = startEchoLoad(server.port, placement.load, shape, timing)
  const run = await follow(peer, shape, server.pid, load)
  await load.stop()
  await server.stop()
  return run
}

async function follow(peer: Peer, shape: EchoShape, serverPid: number, load: LineProcess): Promise<EchoRun> {
  const ready = await load.next('ready')
  await load.next('measuring')
  const before = { server: sampleCpu(serverPid), load: sampleCpu(load.pid) }
  await load.next('measured')
  const serverUse = cpuUse(serverPid, before.server, sampleCpu(serverPid))
  const loadUse = cpuUse(load.pid, before.load, sampleCpu(load.pid))
  const result = await load.next('result')
  const messages = number(result, 'messages')
  const elapsedNs = number(result, 'elapsedNs')
  return {
    peer: peer.name,
    ...shape,
    messages,
    messagesPerSecond: (messages * 1e9) / elapsedNs,
    userNs: serverUse.userNs / messages,
    systemNs: serverUse.systemNs / messages,
    mainThreadNs: serverUse.mainThreadNs / messages,
    ioThreadsNs: serverUse.ioThreadsNs / messages,
    mainThreadShare: serverUse.mainThreadNs / elapsedNs,
    serverShare: (serverUse.userNs + serverUse.systemNs) / elapsedNs,
    loadShare: (loadUse.userNs + loadUse.systemNs) / elapsedNs,
    ...latencies(result),
    errors: number(result, 'errors'),
    lostBytes: number(result, 'lostBytes'),
    congestion: String(ready.congestion),
  }
}

function latencies(result: Message): Pick<EchoRun, 'p50Ns' | 'p90Ns' | 'p99Ns' | 'p999Ns' | 'maxNs'> {
  const [p50Ns, p90Ns, p99Ns] = [number(result, 'p50Ns'), number(result, 'p90Ns'), number(result, 'p99Ns')]
  return { p50Ns, p90Ns, p99Ns, p999Ns: number(result, 'p999Ns'), maxNs: number(result, 'maxNs') }
}

/** Returns the failures of a run. */
export function echoFailures(run: EchoRun): string[] {
  const where = `${run.peer}, ${run.connections} connections, ${run.bytes} B, depth ${run.depth}`
  const failures: string[] = []
  if (run.errors > 0) failures.push(`${where}: ${run.errors} connections broke or got other bytes than they had sent`)
  if (run.lostBytes > 0) failures.push(`${where}: ${run.lostBytes} bytes never came back`)
  if (run.messages === 0) failures.push(`${where}: not one message was echoed`)
  return failures
}
