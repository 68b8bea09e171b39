// Checks that the pages are true: files, links, scripts and names of the code exist; the table of the turn, the table of the
// handlers, the map of the files and the picture of the layers are those of the code; the usual terms are used; the examples
// compile. With --write it draws the picture of the layers again. CONTRIBUTING.md describes how to fix its findings.
import { architectureProblems } from './docs/architecture.mjs'
import { checkExamples } from './docs/examples.mjs'
import { handlerProblems } from './docs/handlers.mjs'
import { layerProblems } from './docs/layers.mjs'
import { nameProblems } from './docs/names.mjs'
import { readPages } from './docs/pages.mjs'
import { pathProblems } from './docs/paths.mjs'
import { termProblems } from './docs/terms.mjs'

const drawing = layerProblems(process.argv.includes('--write'))
const pages = readPages()
const examples = checkExamples(pages)
const problems = [
  ...drawing,
  ...architectureProblems(),
  ...handlerProblems(),
  ...pages.flatMap(pathProblems),
  ...pages.flatMap(nameProblems),
  ...pages.flatMap(termProblems),
  ...examples.problems,
]
for (const problem of problems) console.error(problem)
console.log(`${pages.length} pages with ${examples.count} examples, ${problems.length} wrong`)
process.exitCode = problems.length === 0 ? 0 : 1
