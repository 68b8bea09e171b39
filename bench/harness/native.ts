import { spawnSync } from 'node:child_process'
import { nativeFolder } from './paths.js'

/** Compiles the load generator and the raw C peer, if they aren't up to date. */
export function compileNative(): void {
  const { status, stdout, stderr, error } = spawnSync('make', ['-C', nativeFolder], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`make -C ${nativeFolder} failed: ${error?.message ?? `${stdout}\n${stderr}`}`)
}
