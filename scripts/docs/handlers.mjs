// Checks that the table of handlers in docs/api/handlers.md has a row for each of them.
import { createRequire } from 'node:module'
import { readPage } from './pages.mjs'

const PAGE = 'docs/api/handlers.md'

/** @type {{ readonly handlerNames: readonly string[] }} */
const { handlerNames } = createRequire(import.meta.url)('../../dist/options/handlers.js')

export function handlerProblems() {
  const rows = readPage(PAGE).lines.flatMap((line) => /^\| `(\w+)\(conn\b/.exec(line)?.[1] ?? [])
  return [
    ...handlerNames.filter((name) => !rows.includes(name)).map((name) => `${PAGE}: the table has no row for ${name}`),
    ...rows.filter((name) => !handlerNames.includes(name)).map((name) => `${PAGE}: there is no handler ${name}`),
  ]
}
