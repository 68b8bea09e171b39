import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LineProcess, number } from '../harness/line-process.js'
import { compiledPeers, crowdProgram } from '../harness/paths.js'
import { residentBytes } from '../harness/process-stats.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { integer, mebibytes } from '../harness/table.js'
import { atMost } from '../harness/targets.js'

/**
 * Holds more connections in one process than it may have descriptors, because each I/O thread has a file table of its
 * own. They open, are idle, echo, and are closed by the server.
 */

interface Shape {
  readonly threads: number
  /** The server's RLIMIT_NOFILE. */
  readonly limit: number
  /** The number of client processes, which have a limit as well. */
  readonly clients: number
  readonly connectionsEach: number
}

const FULL: Shape = { threads: 16, limit: 20_000, clients: 8, connectionsEach: 18_750 }
const QUICK: Shape = { threads: 16, limit: 500, clients: 2, connectionsEach: 2000 }
const MESSAGE_BYTES = 64
const TIMEOUT_MS = 120_000
/** The connections before memory is measured, to run every code path, and to allocate most of the shared memory. */
const WARMUP_EACH = 500

interface ManyTablesRun extends Shape {
  readonly connections: number
  readonly acceptsPerSecond: number
  readonly bytesEach: number
  readonly baselineBytes: number
  readonly heldBytes: number
  /** The max number of connections on one thread. */
  readonly most: number
  /** The time of a message to each connection, and its echo. */
  readonly roundMs: number
  readonly closeMs: number
}

/** Returns the number of descriptors in all tables of a process, each table counted once. */
function descriptorsByTable(pid: number): number {
  const own = readdirSync(`/proc/${pid}/task`).filter((tid) => tid !== String(pid))
  const count = (tid: string) => readdirSync(`/proc/${pid}/task/${tid}/fd`).length
  return Math.max(...own.map(count), count(String(pid)))
}

class Crowds {
  readonly #all: readonly LineProcess[]

  constructor(count: number, port: number) {
    this.#all = Array.from({ length: count }, () => new LineProcess('crowd', [crowdProgram, '--port', String(port)]))
  }

  /** Sends a line to all clients. Resolves with the sum of their replies under that key. */
  async ask(line: string, event: string, key: string): Promise<number> {
    const answers = await Promise.all(this.#all.map((crowd) => crowd.ask(line, event, TIMEOUT_MS)))
    return answers.reduce((sum, answer) => sum + number(answer, key), 0)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((crowd) => crowd.stop()))
  }
}

class TableServer {
  readonly #process: LineProcess

  constructor({ threads, limit, clients, connectionsEach }: Shape) {
    const program = [process.execPath, '--expose-gc', join(compiledPeers, 'many-tables.js')]
    const sizes = [String(threads), String(2 * clients * connectionsEach)]
    const limited = ['sh', '-c', `ulimit -n ${limit}; exec "$@"`, 'sh'] as const
    this.#process = new LineProcess('c1m', [...limited, ...program, ...sizes])
  }

  get pid(): number {
    return this.#process.pid
  }

  async port(): Promise<number> {
    return number(await this.#process.next('listening'), 'port')
  }

  async reaches(connections: number): Promise<{ most: number; refused: number }> {
    const deadline = performance.now() + TIMEOUT_MS
    for (;;) {
      const stats = await this.#process.ask('stats', 'stats')
      if (number(stats, 'connections') === connections)
        return { most: number(stats, 'most'), refused: number(stats, 'shed') + number(stats, 'acceptErrors') }
      if (performance.now() > deadline) throw new Error(`not ${connections} connections: ${JSON.stringify(stats)}`)
      await sleep(10)
    }
  }

  async settledBytes(quick: boolean): Promise<number> {
    for (let collection = 0; collection < 3; collection++) {
      await this.#process.ask('gc', 'gc')
      await sleep(quick ? 100 : 3000)
    }
    return residentBytes(this.pid)
  }

  async close(): Promise<number> {
    return number(await this.#process.ask('close', 'closed', TIMEOUT_MS), 'connections')
  }

  stop(): Promise<void> {
    return this.#process.stop()
  }
}

async function measure(shape: Shape, quick: boolean, failures: string[]): Promise<ManyTablesRun> {
  const connections = shape.clients * shape.connectionsEach
  const check = (what: string, expected: number, actual: number) => {
    if (expected !== actual) failures.push(`${what}: ${actual}, not ${expected}`)
  }
  const server = new TableServer(shape)
  const port = await server.port()
  const warmup = new Crowds(shape.clients, port)
  await warmup.ask(`open ${WARMUP_EACH} ${TIMEOUT_MS}`, 'opened', 'connections')
  await server.reaches(WARMUP_EACH * shape.clients)
  await warmup.ask(`echo ${MESSAGE_BYTES} ${TIMEOUT_MS}`, 'received', 'wrong')
  await warmup.stop()
  await server.reaches(0)
  const descriptors = descriptorsByTable(server.pid)
  const baselineBytes = await server.settledBytes(quick)

  const crowds = new Crowds(shape.clients, port)
  const opening = performance.now()
  check('opened', connections, await crowds.ask(`open ${shape.connectionsEach} ${TIMEOUT_MS}`, 'opened', 'connections'))
  const { most, refused } = await server.reaches(connections)
  const openMs = performance.now() - opening
  check('refused', 0, refused)
  const heldBytes = await server.settledBytes(quick)

  const round = performance.now()
  check('wrong echoes', 0, await crowds.ask(`echo ${MESSAGE_BYTES} ${TIMEOUT_MS}`, 'received', 'wrong'))
  const roundMs = performance.now() - round
  if (descriptorsByTable(server.pid) > shape.limit) failures.push('a table holds more than the limit')

  const closing = performance.now()
  const ended = crowds.ask(`ends ${TIMEOUT_MS}`, 'ended', 'connections')
  check('closed', connections, await server.close())
  check('ended for the clients', connections, await ended)
  const closeMs = performance.now() - closing
  const left = readdirSync(`/proc/${server.pid}/task`).length
  const leftDescriptors = descriptorsByTable(server.pid)
  if (leftDescriptors > descriptors) failures.push(`${leftDescriptors} descriptors are left, of ${descriptors} before`)
  if (left > 16) failures.push(`${left} threads are left`)
  await crowds.stop()
  await server.stop()
  return {
    ...shape,
    connections,
    acceptsPerSecond: (connections * 1000) / openMs,
    bytesEach: (heldBytes - baselineBytes) / connections,
    baselineBytes,
    heldBytes,
    most,
    roundMs,
    closeMs,
  }
}

export const manyTables: Scenario = {
  name: 'many-tables',
  async run({ quick, progress }: Context): Promise<Outcome> {
    const shape = quick ? QUICK : FULL
    progress.begin(1)
    progress.step(`many-tables: ${integer(shape.clients * shape.connectionsEach)} connections`)
    const failures: string[] = []
    const run = await measure(shape, quick, failures)
    return {
      runs: [run],
      tables: [
        {
          title: `${integer(run.connections)} connections in a process whose RLIMIT_NOFILE is ${integer(run.limit)}`,
          columns: ['', 'value'],
          rows: [
            ['I/O threads, each with a file table', integer(run.threads)],
            ['most connections of one thread', integer(run.most)],
            ['accepted a second', integer(run.acceptsPerSecond)],
            ['bytes of RSS each', integer(run.bytesEach)],
            ['MiB before, and with them', `${mebibytes(run.baselineBytes)}, ${mebibytes(run.heldBytes)}`],
            [`ms for a round: ${MESSAGE_BYTES} bytes to each, and back`, integer(run.roundMs)],
            ['ms to close them all', integer(run.closeMs)],
          ],
        },
      ],
      targets: [atMost('bytes of RSS per connection', 200, run.bytesEach)],
      notes: ['The clients, which take most of the CPU time, run on the same cores.'],
      failures,
    }
  },
}
