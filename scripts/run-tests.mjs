// Runs compiled test files, each in a process of its own and some at the same time, and adds up their checks:
//   node scripts/run-tests.mjs [--jobs=2] [--timeout=SECONDS] FILE|FOLDER…
// tap's own runner loads hooks into each file that every worker and child process of it inherits, and that take three times
// as long to start as Node. `node --test` ends a file by SIGTERM, which a blocked JS thread doesn't notice, and passes one
// that exits before its first test.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { jobs: { type: 'string', default: '2' }, timeout: { type: 'string', default: '120' } },
})
// At the timeout tap reports what hangs; a file that can't even do that is killed soon after.
const killedAfter = Number(values.timeout) + 5

const files = positionals.flatMap(testsIn)
const waiting = [...files]
/** @type {Set<number>} process groups: a file's, with what it has started */
const running = new Set()
const sums = { passed: 0, failed: 0, skipped: 0 }

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    for (const group of running) killGroup(group)
    process.exit(1)
  })
}
await Promise.all(Array.from({ length: Number(values.jobs) }, runWaiting))
console.log(`${sums.passed} passed, ${sums.failed} failed, ${sums.skipped} skipped`)
// `--jobs` that is no number runs no file.
process.exitCode = files.length > 0 && waiting.length === 0 && sums.failed === 0 ? 0 : 1

/** @param {string} path */
function testsIn(path) {
  if (!statSync(path).isDirectory()) return [path]
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.js'))
  return names.sort().map((name) => join(path, name))
}

async function runWaiting() {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) report(file, await run(file))
}

/** @param {string} file */
async function run(file) {
  const start = performance.now()
  // timeout(1) makes itself the leader of a process group, and kills it all. A session (`detached`) would be more: the
  // kernel shares the CPU out between sessions, whatever the priorities within.
  const child = spawn('timeout', ['--signal=KILL', `${killedAfter}`, process.execPath, file], {
    env: { ...process.env, TAP_TIMEOUT: values.timeout },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const group = /** @type {number} */ (child.pid)
  running.add(group)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
      output += text
    })
  }
  // A process that outlives the file would hold its output open.
  child.once('exit', () => killGroup(group))
  const [code, signal] = await once(child, 'close')
  running.delete(group)
  return { output, end: signal ?? `exit ${code}`, ms: Math.round(performance.now() - start) }
}

/**
 * Passed has what exits with 0 and has checks that tap summed up. Tests that are unfinished at exit fail by tap, but before
 * the first one it says nothing.
 * @param {string} file
 * @param {{ output: string, end: string, ms: number }} result
 */
function report(file, { output, end, ms }) {
  const summary = /^# \{ total: \d+, pass: \d+.*\}$/m.exec(output)?.[0] ?? 'no summary of its checks'
  /** @param {string} kind */
  const count = (kind) => Number(new RegExp(` ${kind}: (\\d+)`).exec(summary)?.[1] ?? 0)
  const ok = end === 'exit 0' && count('total') > 0
  sums.passed += count('pass')
  sums.failed += Math.max(count('fail'), ok ? 0 : 1)
  sums.skipped += count('skip') + count('todo')
  if (ok) console.log(`ok - ${file} # ${count('pass')} passed, ${ms} ms`)
  else console.log(`${output}\nnot ok - ${file} # ${end}, ${summary}, ${ms} ms`)
}

/** @param {number} group */
function killGroup(group) {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // All its processes have ended.
  }
}
