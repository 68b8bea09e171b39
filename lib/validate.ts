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

/** @internal An options bag; left out, it is empty. */
export function checkObject<T extends object>(name: string, value: T | undefined): Partial<T> {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidType(name, 'an object', value)
  return value
}

/** @internal */
export function checkOneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value)
  if (found !== undefined) return found
  const list = allowed.map((one) => `'${one}'`).join(' or ')
  if (typeof value !== 'string') throw invalidType(name, list, value)
  throw invalidValue(`"${name}" must be ${list}, got '${value}'`)
}

/** @internal */
export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidType('signal', 'an AbortSignal', signal)
}

/** @internal What `write()` takes. */
export function checkChunk(chunk: unknown, encoding: unknown): asserts chunk is string | Uint8Array {
  if (typeof chunk === 'string') return checkEncoding(encoding)
  if (!(chunk instanceof Uint8Array)) throw invalidType('chunk', 'a string, a Buffer or a Uint8Array', chunk)
}

/** @internal */
export function checkEncoding(encoding: unknown): void {
  if (encoding === 'utf8') return
  const name = checkString('encoding', encoding)
  if (!Buffer.isEncoding(name)) throw invalidValue(`"encoding" must be one that Node has, got '${name}'`)
}

/** @internal The names of an options type: one that is missing here, or too many, doesn't compile. */
export function keysOf<T>(keys: { readonly [K in keyof Required<T>]: true }): readonly string[] {
  return Object.keys(keys)
}

/** @internal Refuses an option that there isn't, and so finds misspelt ones; one that is `undefined` is left out. */
export function checkKeys(name: string, options: object, allowed: readonly string[]): void {
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || allowed.includes(key)) continue
    const meant = allowed.find((other) => isNear(key, other))
    throw invalidValue(`"${name}" has no "${key}"${meant === undefined ? '' : `; is "${meant}" meant?`}`)
  }
}

/** Whether the shorter one is a beginning and an end of the longer one. */
function hasAround(a: string, b: string): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a]
  let start = 0
  while (start < short.length && short[start] === long[start]) start++
  return long.endsWith(short.slice(start))
}

/** Whether one is the other with a piece put in, or at most two letters have to be changed, left out or put in. */
function isNear(given: string, other: string): boolean {
  const [a, b] = [given.toLowerCase(), other.toLowerCase()]
  if (Math.min(a.length, b.length) > 2 && hasAround(a, b)) return true
  if (Math.abs(a.length - b.length) > 2 || a.length > 64) return false
  // Wagner and Fischer's table, a row at a time.
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, substituted))
    }
    row = next
  }
  return (row[b.length] as number) <= 2
}

const DEFAULT_SHUTDOWN_MS = 10_000

/** Options of a `shutdown()`; answers `timeoutMs`. */
export function checkShutdownOptions(options: { timeoutMs?: number } | undefined): number {
  const given = checkObject('options', options)
  checkKeys('options', given, ['timeoutMs'])
  const { timeoutMs = DEFAULT_SHUTDOWN_MS } = given
  return checkInteger('timeoutMs', timeoutMs, 0, 2 ** 31 - 1)
}
