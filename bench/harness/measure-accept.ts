import { number } from './line-process.js'
import { HoldLoad, startEchoLoad } from './load.js'
import type { Peer, PeerName } from './peers.js'
import type { Placement } from './placement.js'
import { cpuUse, sampleCpu } from './process-stats.js'
import { Server } from './server.js'

/**
 * - `hold`: the connections stay open
 * - `churn`: each is closed as soon as it is made
 * - `busy`: they stay open, and meanwhile other connections keep the server busy with messages
 */
export type AcceptMode = 'hold' | 'churn' | 'busy'

/** One measured burst of new connections. */
export interface AcceptRun {
  readonly peer: PeerName
  readonly mode: AcceptMode
  readonly connections: number
  readonly connectionsPerSecond: number
  /** CPU time of the server process per connection, in `busy` including the messages that were echoed meanwhile. */
  readonly userNs: number
  readonly systemNs: number
}

/** The number of connections before the measured ones, enough for the JIT to compile the accept path. */
const warmupConnections = 3000

/** The messages of `busy`. The load is killed when the connections are open; its duration is only a limit. */
export const busyShape = { connections: 50, bytes: 64, depth: 1 } as const
const busyTiming = { warmupMs: 300, durationMs: 60_000 } as const

/**
 * Opens connections as fast as the server accepts them. The measured time lasts from the first connect until the
 * server's handler has run for the last connection (in C: until it is registered with epoll).
 *
 * `hold` and `busy` close after that time, with an RST, which leaves no TIME_WAIT. With `churn` the client closes with
 * a
 * FIN, as clients do: an RST would make node:net build an error object for each, and measure that.
 */
export async function measureAccept(
  peer: Peer,
  mode: AcceptMode,
  connections: number,
  placement: Placement,
): Promise<AcceptRun> {
  const server = await Server.start(peer, 'echo', placement.server)
  const busy = mode === 'busy' ? startEchoLoad(server.port, placement.load, busyShape, busyTiming) : undefined
  await busy?.next('measuring')
  const others = mode === 'busy' ? busyShape.connections : 0
  const load = new HoldLoad(server.port, placement.load)
  const open = (count: number) => (mode === 'churn' ? load.churn(count) : load.open(count))
  await open(warmupConnections)
  await load.close('reset')
  await server.reaches(others)

  await server.expect(connections)
  const before = sampleCpu(server.pid)
  const opened = await open(connections)
  const expected = await server.expected()
  const use = cpuUse(server.pid, before, sampleCpu(server.pid))
  await server.reaches(mode === 'churn' ? 0 : connections + others)

  await busy?.kill()
  await load.close('reset')
  await server.reaches(0)
  await load.stop()
  await server.stop()
  const elapsedMicros = number(expected, 'atMicros') - number(opened, 'firstMicros')
  return {
    peer: peer.name,
    mode,
    connections,
    connectionsPerSecond: (connections * 1e6) / elapsedMicros,
    userNs: use.userNs / connections,
    systemNs: use.systemNs / connections,
  }
}
