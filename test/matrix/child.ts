// Runs all pairs that begin with one feature, in a process of their own, which must end on its own. A single one:
//   C1M_MATRIX=write,move,tick,stuck,3 node build/js/test/matrix/child.js
// Fewer words select all that begin with them.

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { WorkerPool } from 'c1m'
import { say } from '../fixtures/children/say.js'
import { collectGarbage } from '../fixtures/garbage.js'
import { openDescriptors, openPipes } from '../fixtures/host.js'
import { chosen } from './chosen.js'
import { type Scenario, THREADS } from './features.js'
import { Thrown } from './near.js'
import { Run } from './run.js'
import { Desk, makeFile, World } from './world.js'

/** The child's output for each scenario, and for all together. */
export interface Said {
  readonly name?: string
  readonly faults?: readonly string[]
  readonly done?: number
  readonly after?: readonly string[]
}

const ABREAST = 80
const SHUTDOWN_MS = 500
const LATE_MS = 4000
const GROWTH_MIB = 64
/** The time after which the scenarios that still run are printed. */
const WATCHDOG_MS = 60_000

let caught = 0
const strangers: string[] = []
process.on('uncaughtException', (error) => {
  if (error instanceof Thrown) caught++
  else {
    strangers.push(`uncaught: ${error.stack}`)
    console.error(error)
  }
})

/** Returns the number of slots of closed connections that are not free again. */
function slotsHeld({ reactor }: World): number {
  const { accepted, connected, adopted, closed, connections } = reactor.stats()
  return accepted + connected + adopted - closed - connections
}

/** Returns the resources that a reactor has not released after its shutdown. */
function leftOf({ reactor }: World): string[] {
  const { queueBytes, relayPipes } = reactor.stats()
  const left: string[] = []
  if (reactor.connections.size > 0) left.push(`${reactor.connections.size} connections`)
  if (queueBytes > 0) left.push(`${queueBytes} bytes queued`)
  if (relayPipes > 0) left.push(`${relayPipes} pipes`)
  return left
}

/** Shuts the reactor down. Resolves with the faults, among them a missed deadline. */
async function shutDown(world: World, before = false): Promise<string[]> {
  for (let i = 0; i < 1000 && !before && slotsHeld(world) !== 0; i++) await sleep(10)
  const slots = before ? 0 : slotsHeld(world)
  const held = slots === 0 ? [] : [`${slots} slots held`]
  const begun = Date.now()
  await world.reactor.shutdown({ timeoutMs: SHUTDOWN_MS })
  const took = Date.now() - begun
  const late = took > SHUTDOWN_MS + LATE_MS ? [`shutdown() took ${took} ms`] : []
  return [...held, ...late, ...leftOf(world)]
}

class Batch {
  readonly under = new Set<Run>()
  readonly after: string[] = []
  #runs = 0
  #thrown = 0

  constructor(
    readonly pool: WorkerPool,
    readonly desk: Desk,
    readonly file: string,
  ) {}

  /** Runs scenarios with one number of I/O threads. One that shuts its reactor down has a reactor of its own. */
  async run(scenarios: readonly Scenario[], threads: number): Promise<void> {
    const shared = new World(threads, this.pool, this.file)
    const left: Run[] = []
    const queue = [...scenarios]
    const worker = async () => {
      for (let scenario = queue.shift(); scenario !== undefined; scenario = queue.shift()) {
        const own = scenario.first === 'shutdown' || scenario.second === 'shutdown'
        const world = own ? new World(threads, this.pool, this.file) : shared
        const run = new Run(scenario, world, this.desk)
        await this.#attempt(run, () => run.go())
        if (own) for (const what of await shutDown(world, true)) run.fail(what)
        if (run.left) left.push(run)
        else this.#tell(run)
      }
    }
    await Promise.all(Array.from({ length: ABREAST }, worker))
    const [lost] = await Promise.all([shutDown(shared), ...left.map((run) => this.#attempt(run, () => run.conclude()))])
    this.after.push(...lost)
    for (const run of left) this.#tell(run)
  }

  async #attempt(run: Run, go: () => Promise<void>): Promise<void> {
    this.under.add(run)
    try {
      await go()
    } catch (error) {
      run.fail(`${(error as Error).stack}`)
    }
    this.under.delete(run)
  }

  #tell(run: Run): void {
    this.#runs++
    for (const near of run.nears) this.#thrown += near.thrown
    say({ name: run.name, faults: run.faults } satisfies Said)
  }

  sum(): Said {
    if (this.#thrown !== caught) this.after.push(`${this.#thrown} exceptions thrown, ${caught} caught`)
    return { done: this.#runs, after: [...this.after, ...strangers] }
  }
}

function memoryInUse(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'c1m-matrix-'))
  // With the first stream of a process libuv opens a descriptor that it keeps.
  await once(createServer().listen(0).close(), 'close')
  const file = makeFile(folder)
  await collectGarbage()
  const descriptors = openDescriptors()
  const pipes = openPipes()
  const memory = memoryInUse()
  const pool = new WorkerPool({ filename: join(__dirname, 'tasks.js'), size: 1 })
  const desk = await Desk.open()
  const batch = new Batch(pool, desk, file)
  const watchdog = setInterval(
    () => console.error([...batch.under].map(({ state }) => state).join('\n')),
    WATCHDOG_MS,
  ).unref()
  const scenarios = chosen().filter(({ first, second }) => first !== 'unref' && second !== 'unref')
  for (const threads of THREADS) {
    const some = scenarios.filter((scenario) => scenario.threads === threads)
    if (some.length > 0) await batch.run(some, threads)
  }
  clearInterval(watchdog)
  await pool.close()
  desk.server.close()
  rmSync(folder, { recursive: true })
  await collectGarbage()
  for (let i = 0; i < 400 && openDescriptors() > descriptors; i++) await sleep(10)
  if (openDescriptors() > descriptors) batch.after.push(`${openDescriptors() - descriptors} descriptors more`)
  if (openPipes() > pipes) batch.after.push(`${openPipes() - pipes} ends of pipes more`)
  const grown = (memoryInUse() - memory) / 2 ** 20
  if (grown > GROWTH_MIB) batch.after.push(`${grown.toFixed(1)} MiB more`)
  say(batch.sum())
}

// Other modules import the types only.
if (require.main === module) void main()
