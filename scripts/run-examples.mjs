// Runs every file of examples/ on a free port. One that ends on its own must exit with 0; a server must print
// "listening", and exit with 0 soon after SIGINT. Their output is shown.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../examples/', import.meta.url))
const deadlineMs = 20_000

let failed = 0
const examples = readdirSync(folder).filter((name) => name.endsWith('.mjs'))
for (const name of examples) {
  const outcome = await run(name)
  console.log(`${outcome === 'exit 0' ? 'ok' : 'FAILED'}: examples/${name}: ${outcome}`)
  if (outcome !== 'exit 0') failed++
}
if (failed > 0 || examples.length === 0) process.exitCode = 1

/** @param {string} name */
async function run(name) {
  const child = spawn(process.execPath, [folder + name], {
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: deadlineMs,
    killSignal: 'SIGKILL',
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
    process.stdout.write(text)
    const wasListening = output.includes('listening')
    output += text
    if (!wasListening && output.includes('listening')) child.kill('SIGINT')
  })
  const [code, signal] = await once(child, 'close')
  return signal === null ? `exit ${code}` : `killed by ${signal}`
}
