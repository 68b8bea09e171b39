import type { Peer, PeerName } from './peers.js'
import type { Placement } from './placement.js'
import type { Progress } from './progress.js'
import type { Table } from './table.js'
import type { Target } from './targets.js'

/** The input of a scenario. */
export interface Context {
  /** True for a short run that only checks correctness; its figures mean little. */
  readonly quick: boolean
  readonly peers: readonly Peer[]
  readonly pinned: Placement
  readonly free: Placement
  readonly progress: Progress
}

/** The results of a scenario. */
export interface Outcome {
  /** All single measurements. */
  readonly runs: readonly object[]
  readonly tables: readonly Table[]
  readonly targets: readonly Target[]
  /** Sentences that a figure needs to be understood. */
  readonly notes: readonly string[]
  /** Wrong behaviour: lost bytes, broken connections, leaked descriptors. Unlike a missed target, it fails the run. */
  readonly failures: readonly string[]
}

/** Returns the peers, in a quick run only those that the scenario needs. */
export function peersOf(context: Context, quickPeers: readonly PeerName[]): Peer[] {
  return context.peers.filter(({ name }) => !context.quick || quickPeers.includes(name))
}

export interface Scenario {
  readonly name: string
  run(context: Context): Promise<Outcome>
}
