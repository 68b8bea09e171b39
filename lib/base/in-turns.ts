import { setImmediate as nextTurn } from 'node:timers/promises'

/** So long a pass over very many may keep Node's loop: a million calls of 0.5 µs alone are half a second. */
const TURN_MS = 5
/** The clock is read once in so many. */
const CALLS_PER_LOOK = 16

/**
 * @internal Calls `work` for each of them, some in each turn of Node's loop, and gives up at `until`, a time of
 * `performance.now()`. What comes up meanwhile is in it or not, as the iterator has it.
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

/** @internal Resolves when it does, or at this time of `performance.now()`. */
export function within(until: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.max(0, until - performance.now()))
    void promise.then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
