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
