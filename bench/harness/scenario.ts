import type { Peer, PeerName } from './peers.js'
import type { Placement } from './placement.js'
import type { Progress } from './progress.js'
import type { Table } from './table.js'
import type { Target } from './targets.js'

/** What a scenario is given. */
export interface Context {
  /** A short run that checks correctness; its figures say little. */
  readonly quick: boolean
  readonly peers: readonly Peer[]
  readonly pinned: Placement
  readonly free: Placement
  readonly progress: Progress
}

/** What a scenario has found out. */
export interface Outcome {
  /** All single measurements. */
  readonly runs: readonly object[]
  readonly tables: readonly Table[]
  readonly targets: readonly Target[]
  /** Sentences that a figure needs to be understood. */
  readonly notes: readonly string[]
  /** Wrong behaviour: bytes lost, connections broken, descriptors leaked. Unlike a missed target, this fails the run. */
  readonly failures: readonly string[]
}

/** In a quick run, only the peers that a scenario can't do without. */
export function peersOf(context: Context, quickPeers: readonly PeerName[]): Peer[] {
  return context.peers.filter(({ name }) => !context.quick || quickPeers.includes(name))
}

export interface Scenario {
  readonly name: string
  run(context: Context): Promise<Outcome>
}
