// Walks through what can fail between JavaScript and the addon, and for want of memory: see scripts/test-addon-walk.sh. Each round is a reactor of its
// own, under traffic that uses all features. In each, the first place fails that has not failed before; rounds end when none is
// left. After it both threads must go on, what failed must have been noticed, and shutdown() must resolve.
import { readdirSync, rmSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Reactor } from 'c1m'
import { arm, begin, findHit, isArmed, noticed, timesQuiet, timesUncaught, until, within } from './points.js'
import { echo, echoed, folder, HOST, STEPS } from './steps.js'

const MOST_ROUNDS = 2000
const MOST_FAULTS = 20

/** Whether the threads go on: a new listener, and what it echoes. */
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

/** Runs steps until something fails, beginning with that of the last round's place: there may be more. */
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

/** Whether something has failed. */
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
    // One on its way between two threads is the garbage collector's, if it could not be brought there.
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
  // What Node opens once, for itself.
  await round(false).catch(() => {})
  // Which places a round comes through depends on the threads' timing: one without any that is left may be an accident.
  for (let without = 0; without < 2 && points < MOST_ROUNDS && faults.length < MOST_FAULTS; ) {
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
  // Nothing but a name in a debugger is lost there.
  console.log(`${points} points walked, ${unnoticed.length} of them without a trace, and ${quiet} of operator new`)
  if (points < 100 || quiet < 100) faults.push('that is not all of them')
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
