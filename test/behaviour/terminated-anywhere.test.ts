import { test } from 'tap'
import { startChild } from '../fixtures/child.js'

/** C1M_TERMINATED_SEED for other moments. */
const PROCESSES = 2
const ROUNDS = 64

for (let number = 0; number < PROCESSES; number++) {
  const seed = Number(process.env.C1M_TERMINATED_SEED ?? 1) + number
  test(`${ROUNDS} workers end in the middle of every operation, and the process lives (seed ${seed})`, async (t) => {
    const child = startChild(t, 'terminated', { args: [String(ROUNDS), String(seed)] })
    t.match(await child.next(), { rounds: ROUNDS })
    t.strictSame(await child.untilExit(), { code: 0, signal: null })
    t.equal(child.stderr, '')
  })
}
