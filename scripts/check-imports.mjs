// Checks the arrows between the files of lib/: who may load whom. Imports of types alone may point anywhere.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const lib = fileURLToPath(new URL('../lib/', import.meta.url))

// Each line may load the lines above it. A name is a file, or a folder whose files may also load each other.
const layers = [
  [
    'abort',
    'address',
    'close-hooks',
    'connection-context',
    'connection-id',
    'connection-notes',
    'in-turns',
    'io-port',
    'io-thread-owner',
    'layout',
    'pending',
    'permission',
    'relay-access',
    'stack',
    'transit',
    'unfinished',
  ],
  ['errors', 'memberships', 'moved-ids'],
  ['own-errors'],
  ['in-flight', 'tcp-info', 'validate', 'want-of-memory'],
  ['framing', 'send-file', 'socket-options', 'timeouts'],
  ['connection-options', 'handlers', 'reactor-options'],
  ['binding', 'connection-requests', 'contexts', 'listen-options', 'listener', 'watch'],
  ['connection-socket', 'detach', 'initial-data', 'listening', 'reframing'],
  ['command-writer', 'connection'],
  ['event-memory'],
  ['broadcast', 'io-thread-requests'],
  ['io-thread'],
  ['callers-handlers', 'connect-addresses', 'quiet-socket', 'start-threads', 'write-frame'],
  ['connect-options', 'connection-map', 'moving'],
  ['adopt', 'connect', 'group', 'rebalance', 'relay'],
  ['reactor'],
  ['pool'],
  ['index'],
]
/** @type {Map<string, number>} */
const levels = new Map(layers.flatMap((names, level) => names.map((name) => [name, level])))

const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
const problems = files.flatMap(problemsOf)
for (const problem of problems) console.error(problem)
console.log(`${files.length} files of lib/, ${problems.length} wrong`)
process.exitCode = problems.length === 0 ? 0 : 1

/** @param {string} file */
function problemsOf(file) {
  if (!levels.has(layerOf(file))) return [`lib/${file}: enter it in the layers of scripts/check-imports.mjs`]
  return loadedBy(file).flatMap((specifier) => {
    const problem = specifier.startsWith('.') ? ownProblem(file, specifier) : addonProblem(file, specifier)
    return problem ? [`lib/${file}: ${specifier}: ${problem}`] : []
  })
}

/** @param {string} file @param {string} specifier */
function addonProblem(file, specifier) {
  const isAddon = specifier === 'node-gyp-build' || specifier.endsWith('.node')
  return isAddon && layerOf(file) !== 'binding' ? 'only binding loads the addon' : undefined
}

/** @param {string} file @param {string} specifier */
function ownProblem(file, specifier) {
  const from = layerOf(file)
  const to = layerOf(join(dirname(file), specifier))
  if (from === to && file.includes('/')) return undefined
  return (levels.get(to) ?? Infinity) < (levels.get(from) ?? 0) ? undefined : `${to} is not below ${from}`
}

/** @param {string} file */
function layerOf(file) {
  return file.replace(/(\/.*|\.[jt]s)$/, '')
}

/** @param {string} file */
function loadedBy(file) {
  const source = ts.createSourceFile(file, readFileSync(lib + file, 'utf8'), ts.ScriptTarget.Latest)
  /** @type {string[]} */
  const specifiers = []
  /** @param {ts.Node} node */
  const visit = (node) => {
    const specifier = specifierOf(node)
    if (specifier !== undefined && ts.isStringLiteral(specifier)) specifiers.push(specifier.text)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return specifiers
}

/** @param {ts.Node} node @returns {ts.Expression | undefined} what a node loads when it runs */
function specifierOf(node) {
  if (ts.isImportDeclaration(node)) return isTypeOnly(node.importClause) ? undefined : node.moduleSpecifier
  if (ts.isExportDeclaration(node)) return isTypeOnly(node) ? undefined : node.moduleSpecifier
  if (ts.isExternalModuleReference(node)) return node.expression
  if (!ts.isCallExpression(node)) return undefined
  const isRequire = ts.isIdentifier(node.expression) && node.expression.text === 'require'
  return isRequire || node.expression.kind === ts.SyntaxKind.ImportKeyword ? node.arguments[0] : undefined
}

/** @param {ts.ImportClause | ts.ExportDeclaration | undefined} clause */
function isTypeOnly(clause) {
  if (clause === undefined || clause.isTypeOnly) return clause !== undefined
  if (ts.isImportClause(clause) && clause.name !== undefined) return false
  const names = ts.isImportClause(clause) ? clause.namedBindings : clause.exportClause
  if (names === undefined || !(ts.isNamedImports(names) || ts.isNamedExports(names))) return false
  return names.elements.length > 0 && names.elements.every((element) => element.isTypeOnly)
}
