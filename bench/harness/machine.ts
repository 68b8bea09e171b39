import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { root } from './paths.js'
import { findBun } from './peers.js'

export interface MachineReport {
  readonly cpu: string
  readonly cores: number
  readonly kernel: string
  readonly memoryGiB: number
  readonly versions: Record<string, string>
}

export function describeMachine(): MachineReport {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const gcc = execFileSync('g++', ['-dumpfullversion'], { encoding: 'utf8' }).trim()
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    kernel: release(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    versions: { c1m: version, node: process.versions.node, bun: findBun()?.version ?? 'absent', gcc },
  }
}
