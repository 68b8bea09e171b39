// Type-checks each block of JavaScript and TypeScript of the pages as a module of its own that imports the package.
//
// A block is written to build/docs/ with its lines at their numbers in the page, so that the compiler's messages point
// there. Names that a block assumes are declared in a comment directly above it:
//   <!-- given: function shrink(image: Uint8Array): Uint8Array -->
// and the four names of docs/api/README.md are declared on all pages (GIVEN_EVERYWHERE).
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import ts from 'typescript'
import { root } from './pages.mjs'

/** @typedef {import('./pages.mjs').Page} Page */
/** @typedef {import('./pages.mjs').Block} Block */

const folder = `${root}build/docs/`

const GIVEN_EVERYWHERE = `import type { Connection, Handlers, Listener, Reactor } from 'c1m'
declare global {
  const reactor: Reactor
  const listener: Listener<unknown>
  const handlers: Handlers<unknown>
  const conn: Connection<unknown>
}
`

// JavaScript is checked as an editor does without types in the code. 'c1m' is this package by its own name: dist/.
/** @type {ts.CompilerOptions} */
const options = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.Node16,
  moduleResolution: ts.ModuleResolutionKind.Node16,
  moduleDetection: ts.ModuleDetectionKind.Force,
  types: ['node'],
  typeRoots: [`${root}node_modules/@types`],
  allowJs: true,
  checkJs: true,
  strict: true,
  noImplicitAny: false,
  useUnknownInCatchVariables: false,
  skipLibCheck: true,
  noEmit: true,
}

/** @param {Page[]} pages @returns {{ problems: string[], count: number }} */
export function checkExamples(pages) {
  rmSync(folder, { recursive: true, force: true })
  const files = pages.flatMap((page) =>
    page.blocks.filter(({ language }) => /^[jt]s$/.test(language)).map((block) => write(page, block)),
  )
  const given = `${folder}given.d.mts`
  writeFileSync(given, GIVEN_EVERYWHERE)
  const program = ts.createProgram([given, ...files], options)
  const diagnostics = [program.getSourceFile(given), ...files.map((file) => program.getSourceFile(file))].flatMap(
    (file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)],
  )
  return { problems: Array.from(new Set(diagnostics.map(problemOf))), count: files.length }
}

/** @param {Page} page @param {Block} block @returns {string} the file of the block */
function write(page, { line, language, text }) {
  // A block that begins with the name of a file is that file: `// ecosystem.config.cjs`.
  const extension = /^\/\/ [\w.-]+(\.[cm]js)\n/.exec(text)?.[1] ?? `.m${language}`
  const file = `${folder}${page.name}.${line}${extension}`
  mkdirSync(dirname(file), { recursive: true })
  const given = /^<!-- given: (.*) -->$/.exec(page.lines[line - 2] ?? '')?.[1]
  writeFileSync(file, `${'\n'.repeat(line - 2)}${given === undefined ? '' : give(file, given)}\n\n${text}\n`)
  return file
}

/** @param {string} file @param {string} given declarations @returns {string} the line that imports them */
function give(file, given) {
  const declarations = given.split('; ')
  writeFileSync(`${file}.d.mts`, declarations.map((one) => `export declare ${one}\n`).join(''))
  const names = declarations.map((one) => /^\w+ (\w+)/.exec(one)?.[1])
  return `import { ${names.join(', ')} } from './${file.slice(file.lastIndexOf('/') + 1)}.mjs'`
}

/** @param {ts.Diagnostic} diagnostic */
function problemOf({ file, start = 0, messageText }) {
  const page = file?.fileName.slice(folder.length).replace(/(\.md)\.\d+\.\w+$/, '$1') ?? ''
  const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line + 1
  return `${page}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
}
