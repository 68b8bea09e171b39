// Checks docs/architecture.md against the code: the table of the turn, and the map of the files.
import { readFileSync } from 'node:fs'
import { body } from './names.mjs'
import { codeSpans, filesUnder, readPage, root } from './pages.mjs'
import { matches } from './paths.mjs'

// The map names each file of a folder with more stems than this, because a sentence for all of them would not help.
const MAX_STEMS_BY_FOLDER = 16

export function architectureProblems() {
  return [...turnProblems(), ...mapProblems()]
}

/** @param {string} heading @returns {string[]} the first cells of the table below it */
function firstCells(heading) {
  const { lines } = readPage('docs/architecture.md')
  const start = lines.indexOf(heading)
  if (start < 0) throw new Error(`docs/architecture.md has no heading "${heading}"`)
  const length = lines.slice(start + 1).findIndex((line) => line.startsWith('#'))
  const rows = lines.slice(start, length < 0 ? undefined : start + 1 + length).filter((line) => line.startsWith('| '))
  return rows.slice(1).map((row) => row.split(/(?<!\\)\|/)[1]?.trim() ?? '')
}

/** @param {string} text @returns {string[]} the text between backticks */
function spansOf(text) {
  return codeSpans({ name: '', lines: [], prose: text, blocks: [] }).map((span) => span.text)
}

function turnProblems() {
  const table = firstCells('## A turn of the loop').flatMap(spansOf)
  const calls = callsOfTurn()
  const at = calls.findIndex((call, i) => call !== table[i])
  if (at < 0 && table.length === calls.length) return []
  return [
    `docs/architecture.md: the table of the turn is not what Loop::turn does: in place of ${table[at] ?? 'nothing'}, it calls ${calls[at] ?? 'nothing'}`,
    `  the table: ${table.join(' ')}`,
    `  the calls: ${calls.join(' ')}`,
  ]
}

/** Returns the statements that are a call, and `wait()`, whose result initializes a constant. */
function callsOfTurn() {
  const head = 'void Loop::turn() {'
  const code = readFileSync(`${root}native/loop/loop.cc`, 'utf8')
  const start = code.indexOf(head)
  if (start < 0) throw new Error('native/loop/loop.cc has no Loop::turn')
  const statements = body(code, start + head.length).matchAll(
    /^ +(?:const [^=\n]*= (?=[\w.:]+\(\);$)|if \(.*\) (?=\w))?([a-z][\w.:]*)\(/gm,
  )
  return Array.from(statements, ({ 1: call = '' }) => call).filter((call) => !['if', 'for', 'while'].includes(call))
}

function mapProblems() {
  const entries = mapEntries()
  return Array.from(stemsByFolder()).flatMap(([folder, stems]) => {
    if (entries.has(folder) && stems.size <= MAX_STEMS_BY_FOLDER) return []
    const unnamed = Array.from(stems).filter((one) => !Array.from(entries).some((entry) => matches(one, stem(entry))))
    if (unnamed.length === 0) return []
    return [`docs/architecture.md: "Where things are" has no place for ${folder}: ${unnamed.map(baseName).join(' ')}`]
  })
}

function stemsByFolder() {
  /** @type {Map<string, Set<string>>} */
  const folders = new Map()
  for (const file of [...filesUnder('native', /\.(cc|h)$/), ...filesUnder('lib', /\.ts$/)]) {
    const folder = file.slice(0, file.lastIndexOf('/'))
    folders.set(folder, (folders.get(folder) ?? new Set()).add(stem(file)))
  }
  return folders
}

/** Returns the paths of the map's first column. A name without a folder is in the folder of the one before it. */
function mapEntries() {
  /** @type {Set<string>} */
  const entries = new Set()
  let folder = ''
  for (const text of firstCells('## Where things are').flatMap(spansOf)) {
    const path = (text.includes('/') ? text : `${folder}/${text}`).replace(/\/$/, '')
    folder = /\.\w+$|\*$/.test(path) ? path.slice(0, path.lastIndexOf('/')) : path
    entries.add(path)
  }
  return entries
}

/** @param {string} file */
function stem(file) {
  return file.replace(/\.\w+$/, '')
}

/** @param {string} file */
function baseName(file) {
  return file.slice(file.lastIndexOf('/') + 1)
}
