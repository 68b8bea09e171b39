// Checks the imports between the files of lib/, including those of types: its folders are layers, and no file imports
// itself in a circle.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const lib = fileURLToPath(new URL('../lib/', import.meta.url))

// Each line may import the lines above it. A name is a folder, whose files may also import each other, or a file.
const layers = [
  ['base'],
  ['native'],
  ['options'],
  ['listener'],
  ['io'],
  ['connection'],
  ['thread'],
  ['features'],
  ['reactor'],
  ['pool'],
  ['pool/tasks', 'pool/reactors'],
  ['index'],
]
/** @type {Map<string, number>} */
const levels = new Map(layers.flatMap((names, level) => names.map((name) => [name, level])))

const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
const imports = new Map(files.map((file) => [file, importedBy(file)]))
const circles = findCircles()
const problems = [...files.flatMap(problemsOf), ...circles.map((circle) => `lib/: a circle: ${circle.join(' -> ')}`)]
for (const problem of problems) console.error(problem)
console.log(`${files.length} files of lib/, ${circles.length} circles, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1

/** @param {string} file */
function problemsOf(file) {
  if (!levels.has(layerOf(file))) return [`lib/${file}: enter its folder in the layers of scripts/check-imports.mjs`]
  return (imports.get(file) ?? []).flatMap((specifier) => {
    const problem = specifier.startsWith('.') ? ownProblem(file, specifier) : addonProblem(file, specifier)
    return problem ? [`lib/${file}: ${specifier}: ${problem}`] : []
  })
}

/** @param {string} file @param {string} specifier */
function addonProblem(file, specifier) {
  const isAddon = specifier === 'node-gyp-build' || specifier.endsWith('.node')
  return isAddon && file !== 'native/binding.ts' ? 'only native/binding.ts loads the addon' : undefined
}

/** @param {string} file @param {string} specifier */
function ownProblem(file, specifier) {
  const from = layerOf(file)
  const to = layerOf(targetOf(file, specifier))
  if (from === to) return undefined
  return (levels.get(to) ?? Infinity) < (levels.get(from) ?? 0) ? undefined : `${to} is not below ${from}`
}

/** @param {string} file @returns {string} its folder, or its name if it has none */
function layerOf(file) {
  return file.includes('/') ? dirname(file) : file.replace(/\.ts$/, '')
}

/** @param {string} file @param {string} specifier */
function targetOf(file, specifier) {
  return join(dirname(file), specifier).replace(/\.js$/, '.ts')
}

/** Returns a circle for each import that leads back to a file on the path to it. */
function findCircles() {
  /** @type {string[][]} */
  const found = []
  const seen = new Set()
  /** @type {string[]} */
  const path = []
  /** @param {string} file */
  const visit = (file) => {
    if (path.includes(file)) found.push([...path.slice(path.indexOf(file)), file])
    if (seen.has(file)) return
    seen.add(file)
    path.push(file)
    for (const specifier of imports.get(file) ?? []) if (specifier.startsWith('.')) visit(targetOf(file, specifier))
    path.pop()
  }
  for (const file of files) visit(file)
  return found
}

/** @param {string} file */
function importedBy(file) {
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

/** @param {ts.Node} node @returns {ts.Node | undefined} the module that a node imports, at runtime or for its types */
function specifierOf(node) {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isExternalModuleReference(node)) return node.expression
  if (ts.isImportTypeNode(node)) return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined
  if (!ts.isCallExpression(node)) return undefined
  const isRequire = ts.isIdentifier(node.expression) && node.expression.text === 'require'
  return isRequire || node.expression.kind === ts.SyntaxKind.ImportKeyword ? node.arguments[0] : undefined
}
