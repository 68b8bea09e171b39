import { isError } from '../base/validate.js'

/**
 * @internal A value that a worker threw, as plain data: a clone of an error keeps neither its code nor a class's name.
 */
export type Wire = { readonly thrown: unknown } | WireError

interface WireError {
  /** The built-in class of the error, so that `instanceof` holds. */
  readonly type: keyof typeof TYPES
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  /** The error's own properties, such as `code`, `errno`, `syscall` and `path`. */
  readonly properties: Readonly<Record<string, unknown>>
  readonly cause: Wire | undefined
  readonly errors: readonly Wire[] | undefined
}

const TYPES = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError }
/** The max depth of causes, which may form a cycle. */
const MAX_DEPTH = 8

/** @internal */
export function toWire(thrown: unknown, depth = 0): Wire {
  if (!isError(thrown)) return { thrown: clonable(thrown) ? thrown : String(thrown) }
  const { name, message, stack, cause } = thrown
  const own = Object.entries(thrown).filter(([key, value]) => !SEPARATE.has(key) && clonable(value))
  const deep = depth < MAX_DEPTH
  return {
    type: typeOf(thrown),
    name: String(name),
    message: String(message),
    stack: typeof stack === 'string' ? stack : undefined,
    properties: Object.fromEntries(own),
    cause: cause === undefined || !deep ? undefined : toWire(cause, depth + 1),
    errors: thrown instanceof AggregateError && deep ? thrown.errors.map((one) => toWire(one, depth + 1)) : undefined,
  }
}

const SEPARATE: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'cause', 'errors'])

/** @internal */
export function isWire(value: unknown): value is Wire {
  if (typeof value !== 'object' || value === null) return false
  return 'thrown' in value || ('type' in value && (value.type as string) in TYPES)
}

/** @internal */
export function fromWire(wire: Wire): unknown {
  if ('thrown' in wire) return wire.thrown
  const { type, name, message, stack, properties, cause, errors } = wire
  const options = cause === undefined ? undefined : { cause: fromWire(cause) }
  const error =
    type === 'AggregateError'
      ? new AggregateError((errors ?? []).map(fromWire), message, options)
      : new TYPES[type](message, options)
  if (error.name !== name) hidden(error, 'name', name)
  if (stack !== undefined) hidden(error, 'stack', stack)
  return Object.assign(error, properties)
}

/** @internal Returns the error; a thrown value that was no error becomes one that says so. */
export function errorFromWire(wire: Wire): Error {
  const thrown = fromWire(wire)
  return isError(thrown) ? thrown : new Error(String(thrown))
}

function typeOf(error: Error): keyof typeof TYPES {
  for (const [type, made] of Object.entries(TYPES)) {
    if (made !== Error && error instanceof made) return type as keyof typeof TYPES
  }
  return 'Error'
}

function hidden(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, enumerable: false, writable: true, configurable: true })
}

function clonable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'function' && typeof value !== 'symbol'
  try {
    structuredClone(value)
    return true
  } catch {
    return false
  }
}
