// Checks the arrows between the native layers: which layer may include which, that no files include each other in a
// circle, and that a connection's bytes go through its transport.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * The layers, lowest first: native/<layer>/ may include its own headers and those of the layers listed with it. Each
 * folder of native/features is a feature, and includes no other.
 *
 * @type {Record<string, readonly string[]>}
 */
export const layers = {
  base: [],
  net: ['base'],
  poll: ['base'],
  mem: ['base'],
  conn: ['base', 'net', 'poll', 'mem'],
  exchange: ['base', 'net', 'poll', 'mem', 'conn'],
  table: ['base', 'net', 'poll', 'mem', 'conn', 'exchange'],
  features: ['base', 'net', 'poll', 'mem', 'conn', 'exchange', 'table'],
  loop: ['base', 'net', 'poll', 'mem', 'conn', 'exchange', 'table', 'features'],
  binding: ['base', 'net', 'poll', 'mem', 'conn', 'exchange', 'table', 'features', 'loop'],
}
// Headers for a few files only: they transfer a connection's bytes, which must go through its transport.
const transport = 'native/conn/transport.h'
/** @type {Record<string, string[]>} */
const reserved = {
  'native/net/stream.h': [transport, 'native/net/connect.cc'],
  'native/net/linux/zero_copy.h': [transport],
}
// The system calls of these headers, and the headers' own functions with a descriptor.
const streamCalls = [
  /(?<!\w)::(recv|recvfrom|recvmsg|readv|send|sendto|sendmsg|writev|sendfile|splice|shutdown)\(/,
  /(?<!transport::)\b(receive|send_bytes|send_vector|send_file|splice_bytes|shutdown_write)\([^()]*(\.get\(\)|\bfd\b|socket\b)/,
]
// Headers of Node, which only the binding may include.
const nodeHeader = /^(napi|node|node_api|js_native_api|uv|v8)(-inl|_types)?\.h$/

const files = readdirSync(join(root, 'native'), { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(cc|h)$/.test(name))
  .map((name) => join('native', name))
/** @type {Map<string, { header: string, quoted: boolean }[]>} */
const includes = new Map(files.map((file) => [file, includesOf(file)]))
const problems = [...files.flatMap(problemsOf), ...circles()]
for (const problem of problems) console.error(problem)
console.log(`${files.length} native files, ${problems.length} wrong`)
process.exitCode = problems.length === 0 ? 0 : 1

/** @param {string} file */
function includesOf(file) {
  const text = readFileSync(join(root, file), 'utf8')
  return Array.from(text.matchAll(/^\s*#\s*include\s*([<"])([^>"]+)[>"]/gm), ([, quote, header = '']) => ({
    header,
    quoted: quote === '"',
  }))
}

/** @param {string} file */
function problemsOf(file) {
  const text = readFileSync(join(root, file), 'utf8')
  const calls =
    layerOf(file) === 'net' || file === transport ? [] : streamCalls.flatMap((call) => call.exec(text)?.[0] ?? [])
  const found = calls.map((call) => `${file}: ${call}…: only through ${transport}`)
  if (file.endsWith('.h') && !text.startsWith('#pragma once')) found.push(`${file}: no #pragma once at the top`)
  for (const { header, quoted } of includes.get(file) ?? []) {
    const problem = nodeHeader.test(header) ? nodeProblem(file) : quoted && ownProblem(file, header)
    if (problem) found.push(`${file}: ${header}: ${problem}`)
  }
  return found
}

/** @param {string} file */
function nodeProblem(file) {
  return layerOf(file) === 'binding' ? undefined : 'only binding knows Node'
}

/** @param {string} file @param {string} header */
function ownProblem(file, header) {
  if (!header.startsWith('native/')) return 'own headers are included from the root, as "native/…"'
  if (!existsSync(join(root, header))) return 'not there'
  if (reserved[header] && !reserved[header].includes(file)) return `only for ${reserved[header].join(' and ')}`
  const from = layerOf(file)
  const to = layerOf(header)
  if (from === to) {
    return from !== 'features' || featureOf(file) === featureOf(header)
      ? undefined
      : `${featureOf(file)} may not include ${featureOf(header)}`
  }
  return layers[from]?.includes(to) ? undefined : `${from} may not include ${to}`
}

/** @param {string} file */
function layerOf(file) {
  return file.split('/')[1] ?? ''
}

/** @param {string} file */
function featureOf(file) {
  return dirname(file).split('/')[2]
}

/** Returns each circle once, beginning with the file that is visited first. */
function circles() {
  /** @type {string[]} */
  const found = []
  /** @type {Set<string>} */
  const done = new Set()
  /** @param {string} file @param {readonly string[]} path */
  const visit = (file, path) => {
    const at = path.indexOf(file)
    if (at >= 0) found.push(`a circle: ${[...path.slice(at), file].join(' → ')}`)
    if (at >= 0 || done.has(file)) return
    for (const { header } of includes.get(file) ?? []) {
      if (includes.has(header)) visit(header, [...path, file])
    }
    done.add(file)
  }
  for (const file of files) visit(file, [])
  return found
}
