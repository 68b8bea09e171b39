import { openSync, readSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Handlers } from 'c1m'
import { handlerNames } from '../fixtures/reactor.js'

/** The places that may fail, and the noticed failures. */

const DEADLINE_MS = 20_000

/** The file by which the addon's calls are armed, and report which of them has failed: see test/faults/walk.cc. */
const control = openSync(process.env.C1M_WALK as string, 'r+')
const bytes = Buffer.alloc(256)
/** The places of JavaScript that have failed, and the one of this round. */
const failed = new Set<string>()
let hit = ''

export function arm(on: boolean): void {
  writeSync(control, on ? '1' : '0', 0)
}

/** Returns true while a failure is armed and has not happened. */
export function isArmed(): boolean {
  readSync(control, bytes, 0, 1, 0)
  return bytes[0] === 0x31
}

/** Returns the place that has failed in this round. */
export function findHit(): string {
  readSync(control, bytes, 0, bytes.length, 0)
  if (hit === '') hit = bytes.toString('latin1', 16, bytes.indexOf(0, 16))
  return hit
}

function failsHere(place: string): boolean {
  if (failed.has(place) || !isArmed()) return false
  failed.add(place)
  arm(false)
  hit = place
  return true
}

/** Returns the number of places of `operator new` that have failed in this round. */
export function timesQuiet(): number {
  readSync(control, bytes, 0, bytes.length, 0)
  return bytes.readUInt32LE(4)
}

/** Descriptions of this round's failure, where it was noticed. */
export const noticed: string[] = []
let uncaught = 0

process.on('uncaughtException', (error: Error) => {
  uncaught++
  noticed.push(`uncaught ${error.message}`)
})
process.on('unhandledRejection', (error: Error) => {
  noticed.push(`unhandled ${error.message}`)
})

/** Begins a round. If it `walks`, the next place that has not failed yet fails. */
export function begin(walks: boolean): void {
  noticed.length = 0
  uncaught = 0
  hit = ''
  writeSync(control, Buffer.alloc(bytes.length), 0, bytes.length, 0)
  arm(walks)
}

/** Returns the number of uncaught exceptions in this round. */
export function timesUncaught(): number {
  return uncaught
}

/** Returns the caller in lib/, or undefined for another one. */
function callerInLib(): string | undefined {
  const line = new Error('where').stack
    ?.split('\n')
    .slice(2)
    .find((one) => !one.includes('/test/walk/'))
  return line?.includes('/dist/') ? line.trim() : undefined
}

for (const name of ['allocUnsafeSlow', 'from', 'concat', 'alloc'] as const) {
  const original = Buffer[name] as (...args: unknown[]) => Buffer
  Object.assign(Buffer, {
    [name]: (...args: unknown[]) => {
      const caller = callerInLib()
      if (caller !== undefined && failsHere(`Buffer.${name} ${caller}`)) throw new RangeError('failed by the walk')
      return original.apply(Buffer, args)
    },
  })
}

/** Those whose mere presence changes what happens. */
const EFFECTIVE: ReadonlySet<string> = new Set<keyof Handlers>(['data', 'timeout', 'shutdown', 'error'])

/** All handlers, each of which throws once; of those that change what happens only the given ones. */
export function throwing<T>(of: string, handlers: Handlers<T>): Handlers<T> {
  const names = handlerNames.filter((name) => !EFFECTIVE.has(name) || handlers[name] !== undefined)
  const wrapped = names.map((name) => [
    name,
    (...args: unknown[]) => {
      ;(handlers[name] as ((...given: unknown[]) => void) | undefined)?.(...args)
      if (failsHere(`handler ${of}.${name}`)) throw new Error('thrown by the walk')
    },
  ])
  return Object.fromEntries(wrapped) as Handlers<T>
}

export async function within<A>(what: string, promise: Promise<A>): Promise<A> {
  const timer = new AbortController()
  const late = sleep(DEADLINE_MS, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${what} hangs after ${findHit()}`)
  })
  late.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.abort()
  }
}

export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come true after ${findHit()}`)
    await sleep(1)
  }
}
