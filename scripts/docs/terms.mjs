// Checks that the pages use the terms of CONTRIBUTING.md ("English"), and not the words that these replace.
import { lineAt } from './pages.mjs'

/** @typedef {import('./pages.mjs').Page} Page */

/** @type {readonly (readonly [RegExp, string])[]} */
const replaced = [
  [/\b(tells?|told)\b/gi, 'delivered, reported, notified'],
  [/\b(hears?|heard)\b/gi, 'is notified of, sees'],
  [/\blets? go\b/gi, 'releases'],
  [/\bat once\b/gi, 'immediately, at the same time, synchronously'],
  [/\b(under|on its|on their) way\b/gi, 'in flight, in progress'],
  [/\b(holds?|held) back\b/gi, 'buffered, throttled'],
  [/\bis over\b/gi, 'has ended'],
  [/\b(whoever|nobody|somebody|anybody)\b/gi, 'the one that is meant: the caller, another process, no client'],
  [/\b(comes?|came) about\b/gi, 'is established'],
  [/\bby (itself|themselves)\b/gi, 'automatically, on its own, separately'],
  [/\bgo(es)? on\b/gi, 'continues'],
  [/\banew\b/gi, 'again'],
  [/\bfor want of\b/gi, 'for lack of'],
  [/\bthat there (is|are)\b/gi, 'existing, known'],
  [/\bas a rule\b/gi, 'usually'],
]

/** @param {Page} page @returns {string[]} */
export function termProblems({ name, prose }) {
  // Code is blanked, because it has names of its own; the length stays, so that positions do.
  const text = prose.replace(/`[^`]*`|\]\([^)]*\)/g, (code) => code.replace(/[^\n]/g, ' '))
  return replaced.flatMap(([pattern, better]) =>
    Array.from(text.matchAll(pattern), ({ 0: found, index }) => {
      return `${name}:${lineAt(text, index)}: "${found}": rather ${better}`
    }),
  )
}
