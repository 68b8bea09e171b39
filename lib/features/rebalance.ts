import { hasCloseHooks } from '../base/close-hooks.js'
import { checkInteger, checkKeys, checkObject } from '../base/validate.js'
import { addressesInTransit } from '../connection/transit.js'
import type { IoThread } from '../thread/io-thread.js'
import { move } from './moving.js'

/** Options of `reactor.rebalance()`. */
export interface RebalanceOptions {
  /**
   * Milliseconds without a byte read from or written to a connection before it is moved. 0 to 2^31-1. Default: 1,000.
   */
  idleMs?: number | undefined
}

const DEFAULT_IDLE_MS = 1000
/** The max number of moves in progress at the same time. */
const MAX_MOVES = 256

/** @internal Checks the options; returns `idleMs`. */
export function checkRebalanceOptions(options: unknown): number {
  const given = checkObject('options', options as RebalanceOptions | undefined)
  checkKeys('options', given, ['idleMs'])
  const { idleMs = DEFAULT_IDLE_MS } = given
  checkInteger('idleMs', idleMs, 0, 2 ** 31 - 1)
  return idleMs
}

/**
 * @internal Moves idle connections from threads that hold more than their share to the others, as long as `may()`;
 * returns how many.
 */
export async function rebalance(threads: readonly IoThread[], idleMs: number, may: () => boolean): Promise<number> {
  const total = threads.reduce((sum, { size }) => sum + size, 0)
  const share = Math.floor(total / threads.length)
  // Some threads hold one more than the share: those that hold the most already.
  const fullest = [...threads].sort((a, b) => b.size - a.size)
  const excess = new Map(
    fullest.map((thread, rank) => [thread, thread.size - share - (rank < total % threads.length ? 1 : 0)]),
  )
  const receivers = fullest.flatMap((thread) => Array<IoThread>(Math.max(0, -(excess.get(thread) ?? 0))).fill(thread))
  let moved = 0
  for (const from of fullest) {
    const surplus = Math.min(excess.get(from) ?? 0, receivers.length)
    if (surplus <= 0) continue
    const idle = await from.request<Uint32Array>((batch, callback) =>
      from.native.idle(batch, callback, idleMs, surplus),
    )
    const moves: Promise<boolean>[] = []
    for (let at = 0; at < idle.length; at += 2) {
      const conn = from.get(idle[at] as number, idle[at + 1] as number)
      // A connection with a close hook may have a task of a WorkerPool, which has its place, to write to it from
      // another thread.
      const mayMove = () =>
        may() && conn?.movable === true && addressesInTransit(conn) === undefined && !hasCloseHooks(conn)
      const to = receivers.at(-1)
      if (conn === undefined || to === undefined || !mayMove()) continue
      receivers.pop()
      moves.push(move(conn, to, mayMove))
      if (moves.length === MAX_MOVES) moved += count(await Promise.all(moves.splice(0)))
    }
    moved += count(await Promise.all(moves))
  }
  return moved
}

function count(results: readonly boolean[]): number {
  return results.filter(Boolean).length
}
