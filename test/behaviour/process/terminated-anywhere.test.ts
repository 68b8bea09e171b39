import { t as tap, test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { startChild } from '../../fixtures/child.js'
import { SEED } from '../../fixtures/random.js'

// Each test waits for a process whose workers start one after the other.
tap.jobs = 2

/**
 * C1M_SEED selects the moments, and C1M_TERMINATED_FACTOR=8 makes more than 500 of them. The seed in a test's name
 * repeats its moments.
 */
const FACTOR = Number(process.env.C1M_TERMINATED_FACTOR ?? 1)
const ROUNDS = 31 * FACTOR
const EXITS = 6 * FACTOR
/** A process each. */
const SEEDS = SANITIZED ? [SEED + 1] : [SEED, SEED + 1]

for (const seed of SEEDS) {
  test(`${ROUNDS} workers end in the middle of every operation, and the process lives (seed ${seed})`, async (t) => {
    const child = startChild(t, 'terminated', { args: [String(ROUNDS), String(seed)] })
    t.match(await child.next(), { rounds: ROUNDS })
    t.strictSame(await child.untilExit(), { code: 0, signal: null })
    t.equal(child.stderr, '')
  })
}

test(`${EXITS} processes that exit during operations have their exit code (seed ${SEED})`, async (t) => {
  for (let exit = 0; exit < EXITS; exit++) {
    // The steps are coprime to the number of operations, so that each comes, at another moment.
    const args = ['alone', String((SEED + exit) * 7), String(((SEED + exit) * 5) % 12)]
    const child = startChild(t, 'terminated', { args })
    t.strictSame(await child.untilExit(), { code: 0, signal: null }, args.join(' '))
    t.equal(child.stderr, '')
  }
})
