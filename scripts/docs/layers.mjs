// Draws the picture of the layers in CONTRIBUTING.md from the lists of the checks.
import { readFileSync, writeFileSync } from 'node:fs'
import ts from 'typescript'
import { root } from './pages.mjs'

const page = 'CONTRIBUTING.md'
const BEGIN = '<!-- written by scripts/check-docs.mjs --write -->\n'
const END = '<!-- end -->'
const WIDTH = 110

/** @param {boolean} write @returns {string[]} */
export function layerProblems(write) {
  const before = readFileSync(root + page, 'utf8')
  const start = before.indexOf(BEGIN)
  const end = before.indexOf(END, start)
  if (start < 0 || end < 0) return [`${page} has no place for the picture of the layers`]
  const after = before.slice(0, start) + BEGIN + picture() + before.slice(end)
  if (before === after) return []
  if (!write) return [`${page}: the picture of the layers is not that of the checks: npm run check:docs -- --write`]
  writeFileSync(root + page, after)
  return []
}

function picture() {
  const native = levelsIn('scripts/check-includes.mjs')
  const lib = levelsIn('scripts/check-imports.mjs')
  return `\`\`\`text\n${chain('native/', native)}\n\n${chain('lib/', lib)}\n\`\`\`\n`
}

/** @param {string} file @returns {string[][]} the names of each layer, lowest first */
function levelsIn(file) {
  const layers = listIn(file)
  if (!Array.isArray(layers)) return byLevel(/** @type {Record<string, string[]>} */ (layers))
  return layers.map((layer) => (Array.isArray(layer) ? layer : [layer]))
}

/** @param {Record<string, string[]>} layers @returns {string[][]} each layer behind all that it may include */
function byLevel(layers) {
  /** @type {(name: string) => number} */
  const level = (name) => Math.max(-1, ...(layers[name] ?? []).map(level)) + 1
  /** @type {string[][]} */
  const levels = []
  for (const name of Object.keys(layers)) {
    const at = level(name)
    levels[at] = [...(levels[at] ?? []), name]
  }
  return levels
}

/** @param {string} title @param {string[][]} levels */
function chain(title, levels) {
  const indent = '   '
  /** @type {string[]} */
  const lines = []
  let line = `${indent}${title.padEnd(10)}`
  for (const [i, names] of levels.entries()) {
    for (const [j, name] of names.entries()) {
      const word = (i > 0 && j === 0 ? '← ' : '') + name + (j < names.length - 1 ? ',' : '')
      if (line.length + word.length > WIDTH) {
        lines.push(line.trimEnd())
        line = `${indent}${' '.repeat(10)}`
      }
      line += `${word} `
    }
  }
  return [...lines, line.trimEnd()].join('\n')
}

/** @param {string} file @returns {unknown} the value of its `layers` */
function listIn(file) {
  const source = ts.createSourceFile(file, readFileSync(root + file, 'utf8'), ts.ScriptTarget.Latest)
  for (const statement of source.statements) {
    if (!ts.isVariableStatement(statement)) continue
    for (const { name, initializer } of statement.declarationList.declarations) {
      if (ts.isIdentifier(name) && name.text === 'layers' && initializer !== undefined) return literal(initializer)
    }
  }
  throw new Error(`${file} has no layers`)
}

/** @param {ts.Node} node @returns {unknown} */
function literal(node) {
  if (ts.isStringLiteral(node) || ts.isIdentifier(node)) return node.text
  if (ts.isArrayLiteralExpression(node)) return node.elements.map(literal)
  if (!ts.isObjectLiteralExpression(node)) throw new Error('layers are strings, lists and objects of them')
  const entries = node.properties
    .filter(ts.isPropertyAssignment)
    .map((one) => [literal(one.name), literal(one.initializer)])
  return Object.fromEntries(entries)
}
