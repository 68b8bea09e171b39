// Writes the table of docs/guarantees.md from that of the matrix (test/matrix/features.ts, compiled); with --check it
// only checks that the page is up to date. In both cases each guarantee must name tests that exist.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
/** @type {typeof import('../test/matrix/features.js')} */
const { FEATURES, NAMES, impossible } = createRequire(import.meta.url)(`${root}build/js/test/matrix/features.js`)
const page = `${root}docs/guarantees.md`
const BEGIN = '<!-- written by scripts/guarantees.mjs -->\n'

/** @param {import('../test/matrix/features.js').Feature} first @param {import('../test/matrix/features.js').Feature} second */
function test(first, second) {
  const reason = impossible(first, second)
  return reason === undefined ? `\`${first},${second}\`` : `can't be: ${reason}`
}

/**
 * Throws unless each guarantee names tests that exist.
 * @param {string} list The list of guarantees.
 */
function checkTests(list) {
  const guarantees = list.split(/^(?=\d+\. \*\*)/m).slice(1)
  for (const [i, guarantee] of guarantees.entries()) {
    const [item = ''] = guarantee.split('\n\n')
    if (!item.startsWith(`${i + 1}. `)) throw new Error(`${page}: no guarantee ${i + 1}`)
    const tests = [...item.matchAll(/`(test\/[^`]*)`/g)].map(([, path]) => `${path}`)
    if (tests.length === 0) throw new Error(`${page}: guarantee ${i + 1} names no test`)
    const missing = tests.filter((path) => !path.endsWith('.test.ts') || !existsSync(`${root}${path}`))
    if (missing.length > 0) throw new Error(`${page}: guarantee ${i + 1} names ${missing.join(', ')}, which is no test`)
  }
  const last = Math.max(...NAMES.flatMap((name) => FEATURES[name].guarantees))
  if (guarantees.length < last) throw new Error(`${page}: no guarantee ${last}`)
}

const rows = NAMES.flatMap((first, i) =>
  NAMES.slice(i).map((second) => {
    const numbers = new Set([1, 11, ...FEATURES[first].guarantees, ...FEATURES[second].guarantees])
    const other = first === second ? '' : test(second, first)
    const sorted = [...numbers].sort((a, b) => a - b).join(', ')
    return `| ${FEATURES[first].title} | ${FEATURES[second].title} | ${test(first, second)} | ${other} | ${sorted} |`
  }),
)
const text = `${BEGIN}
| feature | what the matrix does |
|---|---|
${NAMES.map((name) => `| ${FEATURES[name].title} (\`${name}\`) | ${FEATURES[name].does} |`).join('\n')}

| feature | and | test, in this order | in the other | guarantees |
|---|---|---|---|---|
${rows.join('\n')}
`

const before = readFileSync(page, 'utf8')
const at = before.indexOf(BEGIN)
if (at < 0) throw new Error(`${page} has no place for the table`)
checkTests(before.slice(0, at))
const after = before.slice(0, at) + text
if (process.argv.includes('--check')) {
  if (before !== after) throw new Error(`${page} is not up to date: node scripts/guarantees.mjs`)
  console.log('docs/guarantees.md is up to date')
} else {
  writeFileSync(page, after)
}
