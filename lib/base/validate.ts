import { types } from 'node:util'
import { invalidType, invalidValue, outOfRange } from './errors.js'

/** @internal */
export function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidType(name, 'a boolean', value)
  return value
}

/** @internal */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') throw invalidType(name, 'a number', value)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(name, `an integer from ${min} to ${max}`, value)
  }
  return value
}

/** @internal */
export function checkString(name: string, value: unknown): string {
  if (typeof value !== 'string') throw invalidType(name, 'a string', value)
  return value
}

/**
 * @internal Checks an options object; it is empty if left out. Returns a copy of its own properties: what other code
 * has put on Object.prototype is no option. `instead` names the right way to pass what was passed in its place.
 */
export function checkObject<T extends object>(name: string, value: T | undefined, instead?: string): Partial<T> {
  if (value === undefined) return { __proto__: null } as object
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)) {
    return { __proto__: null, ...value } as Partial<T>
  }
  const error = invalidType(name, 'an object', value)
  if (instead !== undefined) error.message += `; is ${instead} meant?`
  throw error
}

/** @internal */
export function checkOneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value)
  if (found !== undefined) return found
  const list = allowed.map((one) => `'${one}'`).join(' or ')
  if (typeof value !== 'string') throw invalidType(name, list, value)
  throw invalidValue(`"${name}" must be ${list}, got '${value}'`)
}

/** @internal Checks an AbortSignal, of whichever realm: a test environment may have a class of its own. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return
  const { aborted, addEventListener, removeEventListener } = Object(signal) as Partial<AbortSignal>
  const isOne = [addEventListener, removeEventListener].every((method) => typeof method === 'function')
  if (typeof aborted !== 'boolean' || !isOne) throw invalidType('signal', 'an AbortSignal', signal)
}

/** @internal True for a URL, of whichever realm. */
export function isUrl(value: unknown): value is URL {
  const { href, protocol } = Object(value) as Partial<URL>
  return typeof href === 'string' && typeof protocol === 'string'
}

/**
 * @internal True for bytes, of whichever realm: those of `vm` contexts, and so of Jest, are no instances of this
 * realm's class.
 */
export function isBytes(value: unknown): value is Uint8Array {
  return types.isUint8Array(value)
}

/** @internal True for an error, of whichever realm. */
export function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error
}

/** @internal Checks the arguments of `write()`. */
export function checkChunk(chunk: unknown, encoding: unknown): asserts chunk is string | Uint8Array {
  if (typeof chunk === 'string') return checkEncoding(encoding)
  if (!isBytes(chunk)) throw invalidType('chunk', 'a string, a Buffer or a Uint8Array', chunk)
}

/** @internal */
export function checkEncoding(encoding: unknown): void {
  if (encoding === 'utf8') return
  const name = checkString('encoding', encoding)
  if (!Buffer.isEncoding(name)) throw invalidValue(`"encoding" must be one that Node has, got '${name}'`)
}

/** @internal Returns the names of an options type: a missing name, or one too many, doesn't compile. */
export function keysOf<T>(keys: { readonly [K in keyof Required<T>]: true }): readonly (keyof T & string)[] {
  return Object.keys(keys) as (keyof T & string)[]
}

/** @internal Refuses further arguments, such as a callback, which nothing would call. */
export function checkNoMore(name: string, others: readonly unknown[]): void {
  if (others.length > 0) throw invalidValue(`${name}() takes options and handlers, and returns a promise: no callback`)
}

/** @internal The names of other libraries for an option: each with its name here, or a sentence. */
export type Meant = Readonly<Record<string, string>>

/**
 * @internal Refuses unknown options, and so finds misspelt ones; one that is `undefined` counts as left out. `meant`
 * has other libraries' names for options; a sentence is used as it is.
 */
export function checkKeys(name: string, options: object, allowed: readonly string[], meant: Meant = {}): void {
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || allowed.includes(key)) continue
    const known = Object.hasOwn(meant, key) ? (meant[key] as string) : nearest(key, allowed)
    throw invalidValue(`"${name}" has no "${key}"${known === undefined ? '' : hint(known)}`)
  }
}

function hint(known: string): string {
  return known.includes(' ') ? `: ${known}` : `; is "${known}" meant?`
}

/** @internal Returns the one of `names` that is most similar to `given`, if any is similar at all. */
export function nearest(given: string, names: readonly string[]): string | undefined {
  let found: string | undefined
  let min = Number.POSITIVE_INFINITY
  for (const name of names) {
    const distance = distanceOf(given.toLowerCase(), name.toLowerCase())
    if (distance < min) {
      found = name
      min = distance
    }
  }
  return found
}

/** True if the shorter one is a beginning and an end of the longer one. */
function hasAround(a: string, b: string): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a]
  let start = 0
  while (start < short.length && short[start] === long[start]) start++
  return long.endsWith(short.slice(start))
}

/**
 * Returns the number of letters to be changed, left out or inserted; at most 2, and for a short name 1, because `data`
 * is no `path`. If one name is the other with a piece inserted, it is a little more than that, and grows with the
 * piece. Infinity if the two have nothing in common.
 */
function distanceOf(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length)
  const around = shorter > 2 && hasAround(a, b) ? 2 + Math.abs(a.length - b.length) / 100 : Number.POSITIVE_INFINITY
  const limit = shorter < 5 ? 1 : 2
  if (Math.abs(a.length - b.length) > limit || a.length > 64) return around
  // Wagner and Fischer's table, a row at a time; Damerau's swap of neighbours counts as one.
  const rows = [Array.from({ length: b.length + 1 }, (_, index) => index)]
  for (let i = 1; i <= a.length; i++) {
    const row = rows[i - 1] as number[]
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
          ? ((rows[i - 2] as number[])[j - 2] as number) + 1
          : Number.POSITIVE_INFINITY
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, changed, swapped))
    }
    rows.push(next)
  }
  const distance = (rows[a.length] as number[])[b.length] as number
  return Math.min(distance <= limit ? distance : Number.POSITIVE_INFINITY, around)
}

const DEFAULT_SHUTDOWN_MS = 10_000

/** Checks the options of a `shutdown()`; returns `timeoutMs`. */
export function checkShutdownOptions(options: { timeoutMs?: number | undefined } | undefined): number {
  const given = checkObject('options', options)
  checkKeys('options', given, ['timeoutMs'])
  const { timeoutMs = DEFAULT_SHUTDOWN_MS } = given
  return checkInteger('timeoutMs', timeoutMs, 0, 2 ** 31 - 1)
}
