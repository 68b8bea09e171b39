// Checks that the names of the code that a page mentions are in the code: `Class::member` of native/, `Class.member` and
// `#member` of lib/, "`name` in `file`"; and of the pages that describe the code, each identifier between backticks.
import { readFileSync } from 'node:fs'
import { codeSpans, exists, filesUnder, lineAt, root } from './pages.mjs'

/** @typedef {import('./pages.mjs').Page} Page */

const describing = ['CONTRIBUTING.md', 'docs/architecture.md']
const native = read(filesUnder('native', /\.(cc|h)$/))
const lib = read(filesUnder('lib', /\.ts$/))
const others = ['test', 'scripts', 'bench', 'examples'].flatMap((folder) => filesUnder(folder, /\.(ts|mjs|sh|cc|h)$/))
const configuration = ['package.json', 'tsconfig.build.json', '.clang-tidy', 'binding.gyp', 'test/native/Makefile']
const words = new Set([native, lib, read(others), read(configuration)].join('\n').match(/[\w$]+/g))

/** @param {string[]} files */
function read(files) {
  return files.map((file) => readFileSync(root + file, 'utf8')).join('\n')
}

/** @param {Page} page @returns {string[]} */
export function nameProblems(page) {
  const spans = codeSpans(page).flatMap(({ text, line }) => {
    const problem = memberProblem(text) ?? (describing.includes(page.name) ? wordProblem(text) : undefined)
    return problem === undefined ? [] : [`${page.name}:${line}: ${problem}`]
  })
  return [...spans, ...placeProblems(page)]
}

/** @param {string} text */
function memberProblem(text) {
  const [, native_, nativeMember = ''] = /^(\w+)::(~?\w+)(?:\(\))?$/.exec(text) ?? []
  if (native_ !== undefined) return hasMember(native, native_, nativeMember) ? undefined : `native/ has no ${text}`
  const [, class_, member = ''] = /^([A-Z]\w+)?\.?(#\w+)(?:\(\))?$/.exec(text) ?? []
  if (member === '') return undefined
  const isThere = class_ === undefined ? hasWord(lib, member) : hasMember(lib, class_, member)
  return isThere ? undefined : `lib/ has no ${text}`
}

/** @param {string} code @param {string} owner a class, struct or namespace @param {string} member */
function hasMember(code, owner, member) {
  const begins = code.matchAll(new RegExp(`\\b(?:class|struct|namespace) (?:\\w+::)*${owner}\\b[^;{]*\\{`, 'g'))
  return Array.from(begins).some(({ 0: head, index }) => hasWord(body(code, index + head.length), member))
}

/** @param {string} code @param {number} start behind an opening brace @returns {string} up to its closing one */
export function body(code, start) {
  let depth = 1
  let end = start
  for (; end < code.length && depth > 0; end++) {
    if (code[end] === '{') depth++
    if (code[end] === '}') depth--
  }
  return code.slice(start, end)
}

/** @param {string} code @param {string} word */
function hasWord(code, word) {
  return new RegExp(`(?<![\\w$#])${word.replace('$', '\\$')}(?![\\w$])`).test(code)
}

/** @param {string} text */
function wordProblem(text) {
  // Identifiers of code have an underscore, or a capital letter behind a small one. Those of libuv, Node-API and the C
  // library's macros are exempt, because a page may mention them although the code does not use them.
  const isForeign = /^(uv_|napi_)|^[A-Z_\d]+$/.test(text)
  const isIdentifier = /^\w+(\(\))?$/.test(text) && /_|[a-z][A-Z]/.test(text) && !isForeign
  return !isIdentifier || words.has(text.replace('()', '')) ? undefined : `nothing is called ${text}`
}

/** @param {Page} page "`name` in `file`" */
function placeProblems({ name, prose }) {
  const places = prose.matchAll(/`([\w#.]+)`(?:,)? in\s+`((?:native|lib|test)\/[\w./-]+\.\w+)`/g)
  return Array.from(places).flatMap(({ 1: what = '', 2: file = '', index }) => {
    const word = what.replace(/^.*\./, '')
    const isThere = !exists(file) || hasWord(readFileSync(root + file, 'utf8'), word)
    return isThere ? [] : [`${name}:${lineAt(prose, index)}: ${file} has no ${word}`]
  })
}
