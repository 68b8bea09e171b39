import type { Test } from 'tap'
import { type Child, startChild } from '../fixtures/child.js'
import { until } from '../fixtures/reactor.js'
import type { Said } from './child.js'

/** The timeout for a child with all its scenarios. */
const CHILD_MS = 240_000

/** Runs the scenarios whose names begin with these words in a process of its own, with one assertion for each pair. */
export async function runScenarios(t: Test, program: 'child' | 'unref-child', words: string): Promise<void> {
  const child = startChild(t, `../../matrix/${program}`, { env: { C1M_MATRIX: words } })
  await until(() => child.exit !== undefined, `the end of C1M_MATRIX=${words}\n${child.stderr}`, CHILD_MS)
  const said = child.said as Said[]
  const cells = new Map<string, { runs: number; faults: string[] }>()
  for (const { name, faults = [] } of said) {
    if (name === undefined) continue
    const pair = name.split(',').slice(0, 2).join(', ')
    const cell = cells.get(pair) ?? { runs: 0, faults: [] }
    cells.set(pair, cell)
    cell.runs++
    for (const fault of faults) {
      cell.faults.push(`C1M_MATRIX=${name} node build/js/test/matrix/${program}.js: ${fault}`)
    }
  }
  for (const [pair, { runs, faults }] of cells) t.strictSame(faults, [], `${pair}: ${runs} runs`)
  verifyEnd(t, child, said, words)
}

/** Checks that the scenarios have left nothing behind. */
function verifyEnd(t: Test, { exit, stderr }: Child, said: readonly Said[], words: string): void {
  t.ok(
    said.some(({ done = 0 }) => done > 0),
    `${words}: all were run`,
  )
  t.strictSame(
    said.flatMap(({ after = [] }) => after),
    [],
    `${words}: descriptors, pipes, slots and memory are released, and shutdown() kept its deadline`,
  )
  t.strictSame(exit, { code: 0, signal: null }, `${words}: the process ended on its own${stderr}`)
}
