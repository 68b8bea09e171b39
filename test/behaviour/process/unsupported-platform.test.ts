import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { t as tap, test } from 'tap'
import { built, packageRoot } from '../../fixtures/built.js'
import { startChild } from '../../fixtures/child.js'

// Each test mostly waits for a process to start.
tap.jobs = 2

const platforms: Record<string, RegExp> = {
  win32: /Linux.*win32/,
  darwin: /Linux.*darwin/,
  freebsd: /Linux.*freebsd/,
  bun: /Linux.*Bun/,
}

for (const [platform, message] of Object.entries(platforms)) {
  test(`on ${platform} the import fails with the reason`, async (t) => {
    for (const how of ['require', 'import']) {
      const child = startChild(t, 'on-platform', { args: [platform, how] })
      t.match(await child.next(), { name: 'C1mError', code: 'ERR_C1M_UNSUPPORTED_PLATFORM', message })
      t.strictSame(await child.untilExit(), { code: 0, signal: null })
    }
  })
}

test('an uncaught import error ends the process with the reason', async (t) => {
  const child = startChild(t, 'on-platform', { args: ['win32', 'uncaught'] })
  t.strictSame(await child.untilExit(), { code: 1, signal: null })
  t.match(child.stderr, /C1mError.*c1m needs Node.js on Linux; this is win32/)
})

const bun = ['node_modules/.bin/bun', 'node_modules/bun/bin/bun.exe']
  .map((path) => join(packageRoot, path))
  .find((path) => existsSync(path) && spawnSync(path, ['--version']).status === 0)

test('in Bun the import fails with the reason', { skip: bun === undefined && 'no Bun in node_modules' }, async (t) => {
  const child = startChild(t, 'on-platform', { args: ['as-it-is', 'require'], runtime: bun as string })
  t.match(await child.next(), { code: 'ERR_C1M_UNSUPPORTED_PLATFORM', message: /Bun/ })
})

test('require() and import export the same classes', async (t) => {
  const imported = await import('c1m')
  const required = built<typeof import('c1m')>('index')
  for (const name of ['Reactor', 'Connection', 'ConnectionMap', 'Listener', 'C1mError'] as const) {
    t.type(imported[name], 'function')
    t.equal(imported[name], required[name])
  }
})
