// Packs the package as `npm publish` would, installs the tarball in an empty folder with install scripts off, and uses
// it as a consumer does: by require, by import, and from TypeScript.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const consumer = mkdtempSync(join(tmpdir(), 'c1m-package-'))

/** @param {string} cwd @param {string} command @param {string[]} args */
function run(cwd, command, ...args) {
  console.log(`$ ${command} ${args.join(' ')}`)
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

/** Returns the files that the README links to: the links must work in node_modules as well. */
function linked() {
  const links = readFileSync(join(root, 'README.md'), 'utf8').matchAll(/\]\((?!https?:)([^)#]+)/g)
  return Array.from(links, ([, path = '']) => path).filter((path) => /\.\w+$/.test(path))
}

/** @param {string} tarball */
function checkContents(tarball) {
  const files = run(consumer, 'tar', '-tf', tarball).trim().split('\n')
  for (const wanted of ['dist/index.js', 'dist/index.d.ts', 'LICENSE', 'README.md', 'binding.gyp', ...linked()]) {
    if (!files.includes(`package/${wanted}`)) throw new Error(`${wanted} is not in the package`)
  }
  const allowed =
    /^package\/(dist|native|prebuilds)\/[^.].*\.(js|d\.ts|cc|h|node)$|^package\/(docs|examples|bench)\/[^.].*\.(md|mjs|json)$|^package\/[\w.]+$/
  const strays = files.filter((file) => !allowed.test(file))
  if (strays.length > 0) throw new Error(`strays in the package: ${strays.join(' ')}`)
}

try {
  run(root, 'npm', 'pack', '--silent', '--pack-destination', consumer)
  const tarball = readdirSync(consumer).find((name) => name.endsWith('.tgz')) ?? ''
  checkContents(join(consumer, tarball))

  writeFileSync(join(consumer, 'package.json'), '{ "name": "consumer", "private": true }')
  run(consumer, 'npm', 'install', '--ignore-scripts', '--prefer-offline', `./${tarball}`)

  const use = "if (typeof Reactor !== 'function') throw new Error('no Reactor'); new Reactor()"
  run(consumer, 'node', '-e', `const { Reactor } = require('c1m'); ${use}`)
  run(consumer, 'node', '--input-type=module', '-e', `import { Reactor } from 'c1m'; ${use}`)

  writeFileSync(
    join(consumer, 'consumer.mts'),
    "import { Reactor } from 'c1m'\nexport const reactor: Reactor = new Reactor()\n",
  )
  const tsc = ['--noEmit', '--strict', '--module', 'node16', '--target', 'es2022']
  // No skipLibCheck, which would hide a broken .d.ts.
  const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')]
  run(consumer, join(root, 'node_modules/.bin/tsc'), ...tsc, ...types, 'consumer.mts')
  console.log('the packed package works')
} finally {
  rmSync(consumer, { recursive: true })
}
