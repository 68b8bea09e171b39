import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Mode } from '../peers/control.js'
import { bunPeer, compiledPeers, rawProgram, root } from './paths.js'

export type PeerName = 'raw' | 'c1m' | 'c1m-level' | 'bun' | 'node-net' | 'split2'

/** A server that is measured. */
export interface Peer {
  readonly name: PeerName
  /** Its name in the tables. */
  readonly title: string
  command(mode: Mode): [string, ...string[]]
}

/** Returns Bun's program: that of the optional npm package, or one on the PATH. */
export function findBun(): { program: string; version: string } | undefined {
  for (const program of [join(root, 'node_modules/.bin/bun'), 'bun']) {
    if (program !== 'bun' && !existsSync(program)) continue
    const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' })
    if (status === 0) return { program, version: stdout.trim() }
  }
  return undefined
}

function nodePeer(file: string, ...args: string[]): (mode: Mode) => [string, ...string[]] {
  return (mode) => [process.execPath, '--expose-gc', join(compiledPeers, file), mode, ...args]
}

/** `node:net` with `split2`, for lines. */
export const split2Peer: Peer = {
  name: 'split2',
  title: 'node:net, split2',
  command: nodePeer('node-net.js', 'split2'),
}

/** Returns a peer with c1m and several I/O threads. */
export function c1mWithThreads(count: number): Peer {
  return { name: 'c1m', title: `c1m, ${count} I/O threads`, command: nodePeer('c1m.js', 'edge', String(count)) }
}

/** Returns all peers that this machine has, in the order in which they run. */
export function availablePeers(): Peer[] {
  const bun = findBun()
  const peers: Peer[] = [
    { name: 'raw', title: 'raw C', command: () => [rawProgram] },
    { name: 'c1m', title: 'c1m', command: nodePeer('c1m.js', 'edge') },
    { name: 'c1m-level', title: 'c1m, level', command: nodePeer('c1m.js', 'level') },
    { name: 'node-net', title: 'node:net', command: nodePeer('node-net.js') },
  ]
  if (bun !== undefined) {
    peers.splice(3, 0, { name: 'bun', title: 'Bun', command: (mode) => [bun.program, bunPeer, mode] })
  }
  return peers
}
