import { t as tap, test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { startChild } from '../../fixtures/child.js'
import { TRIGGERS } from '../../fixtures/reactor.js'

// Each test waits for a process whose workers start one after the other.
tap.jobs = 2

/** For each trigger. Every tenth worker is terminated while it starts. */
const ROUNDS = SANITIZED ? 15 : 25

for (const trigger of TRIGGERS) {
  test(`${ROUNDS} workers terminated under load leave nothing behind (${trigger})`, async (t) => {
    const child = startChild(t, 'terminate-workers', { args: [String(ROUNDS), trigger] })
    const { descriptors, threads, served, rounds } = await child.next<Record<string, number | [number, number]>>()
    t.equal(rounds, ROUNDS)
    t.ok(Number(served) > 0)
    const [before, after] = descriptors as [number, number]
    t.equal(after, before, 'descriptors')
    const [threadsBefore, threadsAfter] = threads as [number, number]
    t.equal(threadsAfter, threadsBefore, 'threads')
    t.strictSame(await child.untilExit(), { code: 0, signal: null })
    t.equal(child.stderr, '')
  })
}
