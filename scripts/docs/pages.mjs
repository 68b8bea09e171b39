// The pages of the documentation: their lines, code spans, links, headings and blocks of code.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * @typedef {{ readonly line: number, readonly text: string }} Piece
 * @typedef {{ readonly line: number, readonly language: string, readonly text: string }} Block
 * @typedef {{ readonly name: string, readonly lines: string[], readonly prose: string, readonly blocks: Block[] }} Page
 */

/** @param {string} folder @param {RegExp} pattern @returns {string[]} paths from the root, in order */
export function filesUnder(folder, pattern) {
  return readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => pattern.test(name))
    .map((name) => `${folder}/${name}`)
    .sort()
}

export function readPages() {
  return ['README.md', 'CONTRIBUTING.md', 'bench/README.md', ...filesUnder('docs', /\.md$/)].map(readPage)
}

/** @param {string} name @returns {Page} */
export function readPage(name) {
  const lines = readFileSync(root + name, 'utf8').split('\n')
  /** @type {Block[]} */
  const blocks = []
  /** @type {string[]} */
  const prose = []
  let start = -1
  for (const [index, line] of lines.entries()) {
    const isFence = line.startsWith('```')
    prose.push(isFence || start >= 0 ? '' : line)
    if (!isFence) continue
    if (start >= 0) {
      const language = lines[start]?.slice(3) ?? ''
      blocks.push({ line: start + 1, language, text: lines.slice(start + 1, index).join('\n') })
    }
    start = start < 0 ? index : -1
  }
  return { name, lines, prose: prose.join('\n'), blocks }
}

/** @param {string} text @param {number} index @returns {number} counted from 1 */
export function lineAt(text, index) {
  return text.slice(0, index).split('\n').length
}

/** @param {Page} page @returns {Piece[]} the text between backticks, outside of blocks */
export function codeSpans({ prose }) {
  return Array.from(prose.matchAll(/`([^`]+)`/g), ({ 1: text = '', index }) => ({ text, line: lineAt(prose, index) }))
}

/** @param {Page} page @returns {Piece[]} */
export function links({ prose }) {
  return Array.from(prose.matchAll(/\]\(([^)\s]+)\)/g), ({ 1: text = '', index }) => ({
    text,
    line: lineAt(prose, index),
  }))
}

/** @param {Page} page @returns {Set<string>} the anchors of its headings, as GitHub makes them */
export function anchors({ prose }) {
  const slugs = Array.from(prose.matchAll(/^#+ (.*)$/gm), ({ 1: heading = '' }) =>
    heading
      .toLowerCase()
      .replace(/[^\p{Letter}\p{Number}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
  return new Set(slugs)
}

/** @param {string} path */
export function exists(path) {
  return existsSync(root + path)
}
