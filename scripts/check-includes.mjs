// Checks the arrows between the native layers, who may include whom, and that a connection's bytes go through its transport.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
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
  exchange: ['base', 'net', 'poll', 'mem', 'conn', 'table', 'features', 'loop'],
  table: ['base', 'net', 'poll', 'mem', 'conn', 'exchange', 'features', 'loop'],
  features: ['base', 'net', 'poll', 'mem', 'conn', 'exchange', 'table', 'loop'],
  loop: ['base', 'net', 'poll', 'mem', 'conn', 'exchange', 'table', 'features'],
  binding: ['base', 'net', 'poll', 'mem', 'conn', 'exchange', 'table', 'features', 'loop'],
}
// Headers that are for a few files: what moves a connection's bytes, which goes through its transport.
const transport = 'native/conn/transport.h'
/** @type {Record<string, string[]>} */
const reserved = {
  'native/net/stream.h': [transport, 'native/net/connect.cc'],
  'native/net/linux/zero_copy.h': [transport],
}
// Their system calls, and what those headers call them, of a descriptor.
const streamCalls = [
  /(?<!\w)::(recv|recvfrom|recvmsg|readv|send|sendto|sendmsg|writev|sendfile|splice|shutdown)\(/,
  /\b(receive|send_bytes|send_vector|send_file|splice_bytes|shutdown_write)\([^(),]*\.get\(\)/,
]
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
  const layer = layerOf(file)
  const calls = layer === 'net' || file === transport ? [] : streamCalls.flatMap((call) => call.exec(text)?.[0] ?? [])
  const found = calls.map((call) => `${file}: ${call}…: only through ${transport}`)
  if (file.endsWith('.h') && !text.startsWith('#pragma once')) found.push(`${file}: no #pragma once at the top`)
  for (const [, quote, header = ''] of text.matchAll(/^\s*#\s*include\s*([<"])([^>"]+)[>"]/gm)) {
    const problem = nodeHeader.test(header) ? nodeProblem(layer) : quote === '"' && ownProblem(file, header)
    if (problem) found.push(`${file}: ${header}: ${problem}`)
  }
  return found
}

/** @param {string} layer */
function nodeProblem(layer) {
  return layer === 'binding' ? undefined : 'only binding knows Node'
}

/** @param {string} file @param {string} header */
function ownProblem(file, header) {
  if (!header.startsWith('native/')) return 'ours are included from the root, as "native/…"'
  if (!existsSync(join(root, header))) return 'not there'
  if (reserved[header] && !reserved[header].includes(file)) return `only for ${reserved[header].join(' and ')}`
  const [layer, target] = [layerOf(file), layerOf(header)]
  return target === layer || layers[layer]?.includes(target) ? undefined : `${layer} may not include ${target}`
}

/** The first folder under native/. @param {string} path */
function layerOf(path) {
  return path.split('/')[1] ?? ''
}
