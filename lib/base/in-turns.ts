import { setImmediate as nextTurn } from 'node:timers/promises'

/** The max time for which a long pass may keep Node's loop: a million calls of 0.5 µs alone are half a second. */
const TURN_MS = 5
/** The number of calls after which the clock is read. */
const CALLS_PER_LOOK = 16

/**
 * @internal Calls `work` for each item, some in each turn of Node's loop, and stops at `until`, a time of
 * `performance.now()`. An item that is added meanwhile is included or not, depending on the iterator.
 */
export async function inTurns<T>(items: Iterable<T>, work: (item: T) => void, until = Infinity): Promise<void> {
  let begun = performance.now()
  let calls = 0
  for (const item of items) {
    work(item)
    if (++calls % CALLS_PER_LOOK !== 0) continue
    const now = performance.now()
    if (now >= until) return
    if (now - begun < TURN_MS) continue
    await nextTurn()
    begun = performance.now()
  }
}

/** @internal Resolves when `promise` does, or at `until`, a time of `performance.now()`. */
export function within(until: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.max(0, until - performance.now()))
    void promise.then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
