// Runs pairs with `unref()`, each on a reactor of its own: the process must end on its own, whatever is open or in
// progress.
// A single one: C1M_MATRIX=unref,file,tick,stuck,1 node build/js/test/matrix/unref-child.js
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { WorkerPool } from 'c1m'
import { say } from '../fixtures/children/say.js'
import type { Said } from './child.js'
import { chosen } from './chosen.js'
import { Thrown } from './near.js'
import { Run } from './run.js'
import { Desk, makeFile, World } from './world.js'

/** A timeout longer than the end of the process takes on a busy machine. */
const STILL_HERE_MS = 30_000

const strangers: string[] = []
process.on('uncaughtException', (error) => {
  if (!(error instanceof Thrown)) strangers.push(`uncaught: ${error.stack}`)
})

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'c1m-matrix-'))
  process.on('exit', () => rmSync(folder, { recursive: true }))
  const pool = new WorkerPool({ filename: join(__dirname, 'tasks.js'), size: 1 })
  const desk = await Desk.open()
  const file = makeFile(folder)
  const scenarios = chosen().filter(({ first, second }) => first === 'unref' || second === 'unref')
  const runs = scenarios.map((scenario) => new Run(scenario, new World(scenario.threads, pool, file), desk))
  await Promise.all(runs.map((run) => run.meet().catch((error) => run.fail(`${(error as Error).stack}`))))
  // Tasks keep a process alive, as documented.
  const tasks = () => pool.stats().queued + pool.stats().running
  while (tasks() > 0) await sleep(5)
  await sleep(50)
  for (const run of runs) {
    for (const near of run.nears) {
      near.far.socket.unref()
      near.socket?.unref()
    }
    for (const fault of (run.near.outbox.fault ?? '') ? [run.near.outbox.fault as string] : []) run.fail(fault)
    say({ name: run.name, faults: run.faults } satisfies Said)
  }
  desk.server.unref()
  say({ done: runs.length, after: strangers } satisfies Said)
  const stillHere = () => {
    const after = runs.map((run) => `${run.name}: the process is still here; ${[...run.pending]}`)
    say({ after } satisfies Said)
    process.exit(1)
  }
  setTimeout(stillHere, STILL_HERE_MS).unref()
}

void main()
