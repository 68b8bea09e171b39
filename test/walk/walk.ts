// Walks through all calls between JavaScript and the addon that can fail, and all allocations: see
// scripts/test-addon-walk.sh. Each round has a reactor of its own, under traffic that uses all features. In each, the
// first place that has not failed before fails, until none is left. After it both threads must continue, the failure
// must have been noticed, and shutdown() must resolve.
import { readdirSync, rmSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Reactor } from 'c1m'
import { arm, begin, findHit, isArmed, noticed, timesQuiet, timesUncaught, until, within } from './points.js'
import { echo, echoed, folder, HOST, STEPS } from './steps.js'

const MAX_ROUNDS = 2000
const MAX_FAULTS = 20

/** Checks that both threads continue: a new listener must echo. */
async function healthy(reactor: Reactor): Promise<void> {
  const listener = await reactor.listen<unknown>({ host: HOST, port: 0 }, echo('healthy'))
  const conn = await echoed(reactor, listener.port as number, {}, Buffer.alloc(1000))
  const { turns } = reactor.stats()
  await sleep(5)
  const more = reactor.stats().turns - turns
  if (more > 200) throw new Error(`${more} turns in 5 ms after ${findHit()}`)
  conn.destroy()
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}

const names = Object.keys(STEPS)
let at = 0

/** Runs steps until a place fails, beginning with the step of the last failure, which may have more places. */
async function steps(reactor: Reactor, port: number | undefined, walks: boolean): Promise<void> {
  for (let tried = 0; tried < names.length && isArmed() === walks; tried++) {
    const name = names[at] as string
    try {
      await within(name, Promise.resolve(STEPS[name]?.(reactor, port ?? 1)))
    } catch (error) {
      if (/hangs|come true/.test((error as Error).message)) throw error
      if (port !== undefined) noticed.push(`${name} ${(error as Error).message}`)
    }
    if (isArmed() === walks) at = (at + 1) % names.length
  }
}

/** Runs a round. Resolves with true if a place has failed. */
async function round(walks = true): Promise<boolean> {
  const before = descriptors()
  begin(walks)
  try {
    await serve(new Reactor({ maxConnections: 200, ioThreads: 2 }), walks)
  } catch (error) {
    if (/hangs|come true/.test((error as Error).message)) throw error
    noticed.push(`thrown ${(error as Error).message}`)
  }
  arm(false)
  await until('all descriptors closed', () => {
    // A descriptor that could not be moved to another thread is closed by the garbage collector.
    gc?.()
    return descriptors() <= before
  })
  return findHit() !== ''
}

async function serve(reactor: Reactor, walks: boolean): Promise<void> {
  const listener = await within('listen', reactor.listen<unknown>({ host: HOST, port: 0 }, echo('server'))).catch(
    (error: Error) => {
      noticed.push(`rejected ${error.message}`)
    },
  )
  const old = connectSocket(listener?.port ?? 1, HOST)
  let got = ''
  let over = listener === undefined
  old.on('error', () => {})
  old.on('close', () => {
    over = true
  })
  old.on('data', (chunk) => {
    got += chunk.toString()
  })
  await steps(reactor, listener?.port, walks)
  arm(false)
  await healthy(reactor)
  old.write('alive')
  await until('an echo on the old connection', () => got.includes('alive') || over)
  old.destroy()
  arm(walks && findHit() === '')
  await within('shutdown', reactor.shutdown({ timeoutMs: 0 })).catch((error: Error) => {
    if (error.message.includes('hangs')) throw error
    noticed.push(`shutdown ${error.message}`)
  })
}

async function main(): Promise<void> {
  const faults: string[] = []
  const unnoticed: string[] = []
  const kinds = new Map<string, number>()
  let points = 0
  let quiet = 0
  // A first round makes Node open the descriptors that it keeps.
  await round(false).catch(() => {})
  // The places of a round depend on the threads' timing, so that one round without a new place isn't enough.
  for (let without = 0; without < 2 && points < MAX_ROUNDS && faults.length < MAX_FAULTS; ) {
    const found = await round().catch((error: Error) => {
      faults.push(`after ${findHit()}: ${error.message}; ${noticed.join('; ')}`)
      return true
    })
    quiet += timesQuiet()
    if (!found) {
      without++
      continue
    }
    without = 0
    points++
    const hit = findHit()
    if (process.argv.includes('--verbose')) console.log(hit, noticed)
    if (timesUncaught() > 1) faults.push(`${hit} was reported ${timesUncaught()} times: ${noticed.join('; ')}`)
    if (hit.startsWith('napi_call_function') && noticed.length === 0) faults.push(`${hit} was not reported`)
    if (noticed.length === 0) unnoticed.push(hit)
    const kind = hit.split(/[ .]/)[0] as string
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  for (const [kind, count] of [...kinds].sort()) console.log(`${String(count).padStart(5)} ${kind}`)
  // Unnoticed failures lose nothing but a name in a debugger.
  console.log(`${points} points walked, ${unnoticed.length} of them unnoticed, and ${quiet} of operator new`)
  if (points < 100 || quiet < 100) faults.push('fewer points than expected')
  if (faults.length > 0) throw new Error(faults.join('\n'))
}

main()
  .finally(() => rmSync(folder, { recursive: true }))
  .then(
    () => process.exit(0),
    (error) => {
      console.error(error.message)
      process.exit(1)
    },
  )
