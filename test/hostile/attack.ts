import { createInterface } from 'node:readline'
import { type Attack, attacks, closeAll } from './attacks.js'

/** Runs one attack. `stop` ends it, and prints the number of its connections; `close` closes them. */
const attack = attacks[process.argv[2] as string] as Attack
let stop = false
const done = attack.run(Number(process.argv[3]), () => stop)
console.log(JSON.stringify('started'))
createInterface({ input: process.stdin }).on('line', async (line) => {
  if (line === 'stop') {
    stop = true
    console.log(JSON.stringify(await done))
  } else {
    closeAll()
    process.exit()
  }
})
