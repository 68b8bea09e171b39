// Checks the messages of commits since the rule exists, at most the last 50: `subsystem: what changed` in 72
// characters, and a body unless only prose changed. A shallow clone, or a tree without history, is checked as far as it
// goes.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const FIRST = 'fb64254bf760faeb523a61c5517476cde4e51898'
const MAX_COMMITS = 50
const MAX_SUBJECT = 72
const root = fileURLToPath(new URL('..', import.meta.url))

/** @param {string[]} args @returns {string | undefined} undefined if git fails, or is missing */
function git(...args) {
  try {
    return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return undefined
  }
}

/** @param {string} commit */
function problemsOf(commit) {
  const message = git('show', '--no-patch', '--format=%B', commit) ?? ''
  const files = (git('show', '--format=', '--name-only', commit) ?? '').split('\n').filter((file) => file !== '')
  const [subject = '', ...body] = message.trimEnd().split('\n')
  const problems = []
  if (subject.length > MAX_SUBJECT) problems.push(`the subject has ${subject.length} characters, not ${MAX_SUBJECT}`)
  if (!/^[a-z][\w./-]*(, [a-z][\w./-]*)*: \S.*[^.]$/.test(subject)) problems.push('not "subsystem: what changed"')
  if (body.length > 0 && body[0] !== '') problems.push('no empty line behind the subject')
  const isProse = files.every((file) => file.endsWith('.md'))
  if (!isProse && body.every((line) => /^\s*$|^[\w-]+: /.test(line))) problems.push('no body that says why')
  return problems.map((problem) => `${commit.slice(0, 7)} ${subject}: ${problem}`)
}

const range = git('cat-file', '-e', `${FIRST}^{commit}`) === undefined ? ['HEAD'] : [`${FIRST}..HEAD`]
const commits =
  git('rev-list', '--no-merges', `--max-count=${MAX_COMMITS}`, ...range)
    ?.split(/\s+/)
    .filter(Boolean) ?? []
const problems = commits.flatMap(problemsOf)
for (const problem of problems) console.error(problem)
console.log(`${commits.length} commits, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1
