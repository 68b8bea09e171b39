import { join } from 'node:path'

/** The folder of package.json. This file is compiled to build/js/bench/harness. */
export const root = join(__dirname, '../../../..')

export const nativeFolder = join(root, 'bench/native')
export const resultsFolder = join(root, 'bench/results')
export const loadProgram = join(root, 'build/bench/load')
export const rawProgram = join(root, 'build/bench/raw-echo')
export const rawBroadcastProgram = join(root, 'build/bench/raw-broadcast')
export const crowdProgram = join(root, 'build/bench/crowd')
export const rawFileProgram = join(root, 'build/bench/raw-file')
export const bulkProgram = join(root, 'build/bench/bulk')
/** The folder in which `node-gyp-build` finds the addon over the synthetic kernel. */
export const syntheticAddon = join(root, 'build/bench/synthetic')
export const compiledPeers = join(__dirname, '../peers')
export const bunPeer = join(root, 'bench/peers/bun.js')
