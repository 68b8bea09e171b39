import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import * as threads from 'node:worker_threads'
import { isPoolWorker } from 'c1m'
import { t as tap, test } from 'tap'
import { packageRoot } from '../../fixtures/built.js'
import { ask, MODES, makeReactorPool, WORKERS } from '../../fixtures/reactor-pool.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

// Each test mostly waits for processes to start.
tap.jobs = 2

const run = promisify(execFile)
const c1m = JSON.stringify(packageRoot)
const env = { ...process.env, NODE_OPTIONS: '' }

for (const mode of MODES) {
  for (const option of [['-e'], ['--eval'], ['-pe'], ['--input-type=commonjs', '-p'], ['--print'], ['--eval=']]) {
    test(`${mode}: a pool made by node ${option.join(' ')} runs the program once`, async (t) => {
      const text = `
        console.log('once')
        if (process.env.AGAIN) process.exit(9)
        const { ReactorPool } = require(${c1m})
        const pool = new ReactorPool({ module: ${JSON.stringify(WORKERS)}, size: 1, mode: '${mode}',
          env: { ...process.env, AGAIN: '1' } })
        pool.ready().then(() => console.log('ready'), (error) => console.log(error.message)).then(() => pool.shutdown())
        0`
      const args = option.at(-1)?.endsWith('=') ? [`${option.at(-1)}${text}`] : [...option, text]
      const { stdout } = await run(process.execPath, args, { env })
      const lines = stdout.trim().split('\n')
      t.strictSame(
        lines.filter((line) => line !== '0'),
        ['once', 'ready'],
      )
    })
  }

  test(`${mode}: a module that makes a pool of itself is refused, unless it checks isPoolWorker`, async (t) => {
    const folder = temporaryDirectory(t)
    const program = (guard: string) => `
      import { createRequire } from 'node:module'
      import { fileURLToPath } from 'node:url'
      import { connect } from 'node:net'
      const { isPoolWorker, ReactorPool } = createRequire(${c1m})(${c1m})
      export function setup() { return { data(conn, chunk) { conn.write(chunk) } } }
      if (${guard}) {
        const pool = new ReactorPool({ module: fileURLToPath(import.meta.url), size: 1, mode: '${mode}' })
        const said = await pool.listen({ port: 0, host: '127.0.0.1' }).then(() => 'listens', (e) => e.code + ': ' + e.message)
        console.log(said)
        await pool.shutdown()
      }`
    for (const [guard, expected] of [
      ['true', /^ERR_C1M_WORKER_FAILED: .*without end.*isPoolWorker/],
      ['!isPoolWorker', /^listens$/],
    ] as const) {
      const file = join(folder, `${guard.length}.mjs`)
      writeFileSync(file, program(guard))
      const { stdout } = await run(process.execPath, [file], { env })
      t.match(stdout.trim(), expected, guard)
    }
  })
}

for (const option of [
  ['--test-timeout', '5000', '--test-name-pattern', 'foo', '--test-only'],
  ['--test-reporter=spec', '--test-reporter-destination', 'stdout'],
  ['--inspect-port', '0', '--inspect-publish-uid', 'stderr'],
]) {
  test(`processes: a pool made under node ${option.join(' ')} starts`, async (t) => {
    const file = join(temporaryDirectory(t), 'program.cjs')
    const text = `
      const { ReactorPool } = require(${c1m})
      const pool = new ReactorPool({ module: ${JSON.stringify(WORKERS)}, size: 1, mode: 'processes' })
      pool.ready().then(() => console.log('ready'), (error) => console.log(error.message)).then(() => pool.shutdown())`
    writeFileSync(file, text)
    const { stdout } = await run(process.execPath, [...option, file], { env })
    t.equal(stdout.trim(), 'ready')
  })
}

test('two modules that make pools of each other are refused', async (t) => {
  const folder = temporaryDirectory(t)
  const [a, b] = [join(folder, 'a.cjs'), join(folder, 'b.cjs')] as [string, string]
  const module = (own: string, other: string) => `
    const { ReactorPool } = require(${c1m})
    exports.setup = async () => {
      console.log(${JSON.stringify(own)})
      const pool = new ReactorPool({ module: ${JSON.stringify(other)}, size: 1 })
      await pool.ready()
    }`
  writeFileSync(a, module(a, b))
  writeFileSync(b, module(b, a))
  const pool = makeReactorPool(t, { module: a, size: 1 })
  await t.rejects(pool.ready(), { code: 'ERR_C1M_WORKER_FAILED', message: /without end/ })
})

test('isPoolWorker is false in the program itself', async (t) => {
  t.equal(isPoolWorker, false)
})

// By itself: no other pool of this process has threads to be had meanwhile.
test('no thread to be had: the pool says so, and keeps nothing', { buffered: false }, async (t) => {
  const { Worker } = threads
  const refuse = class {
    constructor() {
      throw Object.assign(new Error('no thread'), { code: 'ERR_WORKER_INIT_FAILED' })
    }
  }
  const builtin = require('node:worker_threads') as { Worker: unknown }
  t.teardown(() => {
    builtin.Worker = Worker
  })
  const pool = makeReactorPool(t, { size: 1, startTimeoutMs: 2 ** 31 - 1 })
  const port = (await pool.listen({ host: '127.0.0.1', port: 0, handlers: 'lines' })).port as number
  builtin.Worker = refuse
  const none = makeReactorPool(t, { size: 2, startTimeoutMs: 2 ** 31 - 1 })
  await t.rejects(none.ready(), { code: 'ERR_C1M_WORKER_FAILED', cause: { code: 'ERR_WORKER_INIT_FAILED' } })
  await none.shutdown()
  const crashes: unknown[] = []
  pool.on('crash', (crash) => crashes.push((crash.error as NodeJS.ErrnoException | undefined)?.code))
  await t.rejects(pool.restart(), { code: 'ERR_C1M_WORKER_FAILED' })
  t.strictSame(crashes, ['ERR_WORKER_INIT_FAILED'], 'a failed start of a worker is a crash')
  t.equal(await ask(port, 'still'), 'still')
  builtin.Worker = Worker
  await pool.restart()
  t.equal(await ask(port, 'again'), 'again')
})

test('a module is the same under another name', async (t) => {
  const folder = temporaryDirectory(t)
  const file = join(folder, 'self.mjs')
  writeFileSync(
    file,
    `import { createRequire } from 'node:module'
     const { ReactorPool } = createRequire(${c1m})(${c1m})
     export function setup() {
       new ReactorPool({ module: ${JSON.stringify(`${pathToFileURL(file).href}?again`)}, size: 1 })
     }`,
  )
  const pool = makeReactorPool(t, { module: file, size: 1 })
  await t.rejects(pool.ready(), { code: 'ERR_C1M_WORKER_FAILED', message: /without end/ })
})
