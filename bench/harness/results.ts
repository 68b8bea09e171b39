import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MachineReport } from './machine.js'
import type { NetworkReport } from './network.js'
import { resultsFolder } from './paths.js'
import type { Outcome } from './scenario.js'
import { markdownTable } from './table.js'
import { formatTarget } from './targets.js'

/** Result files: `<scenario>.json` with every measurement, and a README.md with the tables of all of them. */

export interface Surroundings {
  readonly machine: MachineReport
  readonly network: NetworkReport
  readonly placement: { readonly pinned: string; readonly free: string }
}

interface ResultFile extends Surroundings, Omit<Outcome, 'failures'> {
  readonly scenario: string
  readonly date: string
}

export function saveResult(scenario: string, surroundings: Surroundings, outcome: Outcome): void {
  const { failures, ...measurements } = outcome
  if (failures.length > 0) throw new Error(`the ${scenario} scenario failed: its figures are not saved`)
  const file: ResultFile = { scenario, date: new Date().toISOString(), ...surroundings, ...measurements }
  mkdirSync(resultsFolder, { recursive: true })
  writeFileSync(join(resultsFolder, `${scenario}.json`), `${JSON.stringify(file, null, 1)}\n`)
}

/** Writes README.md from all result files. */
export function writeResultsReadme(order: readonly string[]): void {
  const sections = readdirSync(resultsFolder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(resultsFolder, name), 'utf8')) as ResultFile)
    .sort((a, b) => order.indexOf(a.scenario) - order.indexOf(b.scenario))
    .map(section)
  const head =
    '# Benchmark results\n\nWritten by `npm run bench -- --save`; the JSON files beside it have every single run.'
  writeFileSync(join(resultsFolder, 'README.md'), `${[head, ...sections].join('\n\n')}\n`)
}

function section({ scenario, date, machine, network, placement, tables, targets, notes }: ResultFile): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`)
  const surroundings =
    `${date.slice(0, 10)}, ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}; ` +
    `${versions.join(', ')}. Network namespace: ${network.namespace}, congestion control ${network.congestion}. ` +
    `${placement.pinned}.`
  const targetLines = targets.map((target) => `- ${formatTarget(target).replace(/ +/g, ' ')}`).join('\n')
  const parts = [`## ${scenario}`, surroundings, ...tables.map(markdownTable), notes.join('\n'), targetLines]
  return parts.filter((part) => part !== '').join('\n\n')
}
