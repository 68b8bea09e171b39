import { parseArgs } from 'node:util'
import { describeMachine } from './harness/machine.js'
import { compileNative } from './harness/native.js'
import { enterNamespace, prepareNetwork } from './harness/network.js'
import { availablePeers, type Peer } from './harness/peers.js'
import { describePlacement, freePlacement, pinnedPlacement } from './harness/placement.js'
import { Progress } from './harness/progress.js'
import { type Surroundings, saveResult, writeResultsReadme } from './harness/results.js'
import type { Context, Outcome, Scenario } from './harness/scenario.js'
import { formatTable } from './harness/table.js'
import { formatTarget } from './harness/targets.js'
import { accept } from './scenarios/accept.js'
import { adopt } from './scenarios/adopt.js'
import { balance } from './scenarios/balance.js'
import { blocked } from './scenarios/blocked.js'
import { broadcast } from './scenarios/broadcast.js'
import { coldFile } from './scenarios/cold-file.js'
import { echo } from './scenarios/echo.js'
import { file } from './scenarios/file.js'
import { framing } from './scenarios/framing.js'
import { growth } from './scenarios/growth.js'
import { idle } from './scenarios/idle.js'
import { manyTables } from './scenarios/many-tables.js'
import { pool } from './scenarios/pool.js'
import { relay } from './scenarios/relay.js'
import { threads } from './scenarios/threads.js'
import { workerPool } from './scenarios/worker-pool.js'

const scenarios: readonly Scenario[] = [
  echo,
  idle,
  accept,
  blocked,
  growth,
  file,
  coldFile,
  relay,
  broadcast,
  framing,
  adopt,
  balance,
  threads,
  manyTables,
  workerPool,
  pool,
]

const usage = `npm run bench -- [scenario ...] [--quick] [--save] [--peers name,...]

  scenario   ${scenarios.map(({ name }) => name).join(', ')}; all of them if none is named
  --quick    a short run, which checks that everything works; its figures are not compared with the targets
  --save     writes bench/results; not with --quick
  --peers    only these: raw, c1m, c1m-level, bun, node-net`

interface Options {
  readonly scenarios: readonly Scenario[]
  readonly peers: readonly Peer[]
  readonly quick: boolean
  readonly save: boolean
}

function readOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean' }, save: { type: 'boolean' }, peers: { type: 'string' } },
  })
  const unknown = positionals.find((name) => !scenarios.some((scenario) => scenario.name === name))
  if (unknown !== undefined) throw new Error(`no scenario '${unknown}'\n\n${usage}`)
  const names = values.peers?.split(',')
  const peers = availablePeers().filter(({ name }) => names?.includes(name) ?? true)
  if (names !== undefined && peers.length !== names.length)
    throw new Error(`not all of ${names.join()} are available\n\n${usage}`)
  if (values.quick === true && values.save === true) throw new Error(`a quick run is not saved\n\n${usage}`)
  return {
    scenarios: scenarios.filter(({ name }) => positionals.length === 0 || positionals.includes(name)),
    peers,
    quick: values.quick ?? false,
    save: values.save ?? false,
  }
}

function describeSurroundings(peers: readonly Peer[]): Surroundings {
  const network = prepareNetwork()
  const machine = describeMachine()
  const placement = { pinned: describePlacement(pinnedPlacement()), free: describePlacement(freePlacement()) }
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`)
  const settings = Object.entries(network.settings).map(([name, value]) => `${name} = ${value}`)
  console.log(`${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}`)
  console.log(versions.join(', '))
  console.log(
    `network namespace: ${network.namespace}, congestion control ${network.congestion}, ${settings.join(', ')}`,
  )
  console.log(`one core: ${placement.pinned}; otherwise: ${placement.free}`)
  console.log(`peers: ${peers.map(({ title }) => title).join('; ')}\n`)
  return { machine, network, placement }
}

function report(name: string, { tables, notes, targets, failures }: Outcome, quick: boolean): void {
  for (const table of tables) console.log(`\n${name}: ${formatTable(table)}`)
  if (notes.length > 0) console.log(`\n${notes.join('\n')}`)
  if (targets.length > 0 && !quick) console.log(`\n${targets.map(formatTarget).join('\n')}`)
  for (const failure of failures) console.log(`FAILED  ${failure}`)
  console.log('')
}

async function main(): Promise<void> {
  const options = readOptions()
  enterNamespace()
  compileNative()
  const surroundings = describeSurroundings(options.peers)
  const progress = new Progress()
  const context: Context = { ...options, pinned: pinnedPlacement(), free: freePlacement(), progress }
  for (const scenario of options.scenarios) {
    const outcome = await scenario.run(context)
    progress.clear()
    report(scenario.name, outcome, options.quick)
    if (outcome.failures.length > 0) process.exitCode = 1
    if (options.save) saveResult(scenario.name, surroundings, outcome)
  }
  if (options.save) writeResultsReadme(scenarios.map(({ name }) => name))
}

main().catch((error: Error) => {
  console.error(`\n${error.message}`)
  process.exit(1)
})
