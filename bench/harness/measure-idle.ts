import { HoldLoad } from './load.js'
import type { Peer, PeerName } from './peers.js'
import type { Placement } from './placement.js'
import { Server } from './server.js'
import { settledBytes } from './settled-memory.js'

/** The memory of idle connections, measured once. */
export interface IdleRun {
  readonly peer: PeerName
  readonly mode: 'idle' | 'store'
  readonly connections: number
  readonly baselineBytes: number
  readonly heldBytes: number
  readonly bytesPerConnection: number
}

/**
 * The number of connections before the baseline: enough to load and compile all code paths, and so few that their
 * memory, which the idle ones use again, hardly matters (500 of 19,000: at most 2.6 % less than without).
 */
const warmupConnections = 500

/**
 * Measures the RSS with `count` connections, minus the RSS before, both after garbage collections. Each run has a new
 * process, because memory that one run has allocated would hide the need of the next one.
 */
export async function measureIdle(
  peer: Peer,
  mode: 'idle' | 'store',
  connections: number,
  placement: Placement,
  quick: boolean,
): Promise<IdleRun> {
  const server = await Server.start(peer, mode, placement.server)
  const load = new HoldLoad(server.port, placement.load)
  await load.open(warmupConnections)
  await load.close('fin')
  await server.reaches(0)
  const baselineBytes = await settledBytes(server, quick)

  await load.open(connections)
  await server.reaches(connections)
  const heldBytes = await settledBytes(server, quick)

  await load.close('reset')
  await server.reaches(0)
  await load.stop()
  await server.stop()
  const bytesPerConnection = (heldBytes - baselineBytes) / connections
  return { peer: peer.name, mode, connections, baselineBytes, heldBytes, bytesPerConnection }
}
