// Checks that everything that a page names exists: files and folders, links and their anchors, scripts of package.json.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { anchors, codeSpans, exists, filesUnder, lineAt, links, readPage, root } from './pages.mjs'

/** @typedef {import('./pages.mjs').Page} Page */

const folders = ['native', 'lib', 'test', 'scripts', 'bench', 'examples', 'docs']
const files = folders.flatMap((folder) => filesUnder(folder, /\.\w+$/))
const names = new Set(files.map((file) => file.slice(file.lastIndexOf('/') + 1)))
/** @type {{ scripts: Record<string, string> }} */
const { scripts } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))

/** @param {Page} page @returns {string[]} */
export function pathProblems(page) {
  return [...spanProblems(page), ...linkProblems(page), ...scriptProblems(page)]
}

/** @param {Page} page */
function spanProblems(page) {
  return codeSpans(page).flatMap(({ text, line }) =>
    isMissing(text) ? [`${page.name}:${line}: \`${text}\` does not exist`] : [],
  )
}

/** @param {string} text */
function isMissing(text) {
  // A name without a folder must be a source file; users' own files in examples are .mjs.
  if (/^[\w.-]+\.(cc|h|ts)$/.test(text)) return !text.startsWith('.') && !names.has(text)
  if (!/^[\w.*{},/-]+$/.test(text) || !folders.includes(text.split('/')[0] ?? '') || !text.includes('/')) return false
  return text.includes('*') ? !files.some((file) => matches(file, text)) : !exists(text)
}

/** @param {string} file @param {string} pattern in which * stands for any characters but a slash */
export function matches(file, pattern) {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('[^/]*')}$`).test(file)
}

/** @param {Page} page */
function linkProblems(page) {
  return links(page).flatMap(({ text, line }) => {
    if (/^\w+:/.test(text)) return []
    const [path = '', anchor] = text.split('#')
    const target = path === '' ? page.name : join(dirname(page.name), path)
    if (!exists(target)) return [`${page.name}:${line}: the link to ${text} leads nowhere`]
    const isThere = anchor === undefined || anchors(readPage(target)).has(anchor)
    return isThere ? [] : [`${page.name}:${line}: ${target} has no heading #${anchor}`]
  })
}

/** @param {Page} page */
function scriptProblems({ name, lines }) {
  const text = lines.join('\n')
  return Array.from(text.matchAll(/\bnpm run ([\w:]+)/g)).flatMap(({ 1: script = '', index }) =>
    script in scripts ? [] : [`${name}:${lineAt(text, index)}: package.json has no script ${script}`],
  )
}
