import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { packageRoot } from '../fixtures/built.js'
import { startProgram } from '../fixtures/child.js'
import { FRESH_SEED } from '../fixtures/random.js'

const possible = process.getuid?.() === 0 && existsSync('/dev/net/tun')

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}

function addNamespace(t: Test, name: string): void {
  ip('netns', 'add', name)
  t.teardown(() => void spawnSync('ip', ['netns', 'delete', name]))
}

test('bytes are exact over a network that loses, repeats and reorders packets', {
  skip: !possible && 'needs root and TUN',
}, async (t) => {
  t.comment(`C1M_SEED=${FRESH_SEED}`)
  const [near, far] = [`c1m-near-${process.pid}`, `c1m-far-${process.pid}`]
  addNamespace(t, near)
  addNamespace(t, far)
  // The script is in the source folder, because it isn't compiled.
  const network = startProgram(t, join(packageRoot, 'test', 'hostile', 'tun.py'), {
    runtime: 'python3',
    args: [near, far, String(FRESH_SEED)],
  })
  await network.next()
  for (const [namespace, address] of [
    [near, '10.213.0.1'],
    [far, '10.213.0.2'],
  ] as const) {
    ip('-n', namespace, 'link', 'set', 'lossy', 'up')
    ip('-n', namespace, 'address', 'add', `${address}/24`, 'dev', 'lossy')
  }
  const server = startProgram(t, join(__dirname, 'server.js'), {
    args: ['echo', '10.213.0.1'],
    prefix: ['ip', 'netns', 'exec', near],
  })
  const { port } = await server.next<{ port: number }>()
  const client = startProgram(t, join(__dirname, 'lossy-client.js'), {
    args: ['10.213.0.1', String(port)],
    prefix: ['ip', 'netns', 'exec', far],
  })
  t.strictSame(await client.next(), { right: 3_000_000, of: 3_000_000 })
  server.tell('facts')
  const { connections, opened, closed } = await server.next<{ connections: number; opened: number; closed: number }>()
  t.strictSame({ connections, opened, closed }, { connections: 0, opened: 10, closed: 10 })
  server.tell('shutdown')
  t.strictSame(await server.untilExit(), { code: 0, signal: null }, server.stderr)
  network.process.stdin?.end()
  if (network.exit === undefined) await once(network.process, 'close')
})
