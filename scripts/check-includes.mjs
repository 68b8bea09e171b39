// Checks the arrows between the native layers: who may include whom.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

// native/<layer>/ may include its own headers and those of the layers listed with it.
/** @type {Record<string, string[]>} */
const layers = {
  base: [],
  net: ['base'],
  poll: ['base'],
  mem: ['base'],
  conn: ['base', 'net', 'poll', 'mem'],
  loop: ['base', 'net', 'poll', 'mem', 'conn'],
  binding: ['base', 'net', 'poll', 'mem', 'conn', 'loop'],
}
// Only the binding knows Node.
const nodeHeader = /^(napi|node|node_api|js_native_api|uv|v8)(-inl|_types)?\.h$/

const files = readdirSync(join(root, 'native'), { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(cc|h)$/.test(name))
  .map((name) => join('native', name))
const problems = files.flatMap(problemsOf)
for (const problem of problems) console.error(problem)
console.log(`${files.length} native files, ${problems.length} wrong`)
process.exitCode = problems.length === 0 ? 0 : 1

/** @param {string} file */
function problemsOf(file) {
  const text = readFileSync(join(root, file), 'utf8')
  const layer = basename(dirname(file))
  const found = file.endsWith('.h') && !text.startsWith('#pragma once') ? [`${file}: no #pragma once at the top`] : []
  for (const [, quote, header = ''] of text.matchAll(/^\s*#\s*include\s*([<"])([^>"]+)[>"]/gm)) {
    const problem = nodeHeader.test(header) ? nodeProblem(layer) : quote === '"' && ownProblem(layer, header)
    if (problem) found.push(`${file}: ${header}: ${problem}`)
  }
  return found
}

/** @param {string} layer */
function nodeProblem(layer) {
  return layer === 'binding' ? undefined : 'only binding knows Node'
}

/** @param {string} layer @param {string} header */
function ownProblem(layer, header) {
  if (!header.startsWith('native/')) return 'ours are included from the root, as "native/…"'
  if (!existsSync(join(root, header))) return 'not there'
  const target = basename(dirname(header))
  return target === layer || layers[layer]?.includes(target) ? undefined : `${layer} may not include ${target}`
}
