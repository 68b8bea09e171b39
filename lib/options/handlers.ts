import { types } from 'node:util'
import { type ErrorCode, invalidType, invalidValue } from '../base/errors.js'
import { checkObject, keysOf, type Meant, nearest } from '../base/validate.js'
import type { TimeoutKind } from '../native/layout.js'

/** The handlers of connections of the type `C`: see `Handlers`. */
export interface HandlersOf<C> {
  /** A connection has been accepted. Without this handler, a connection has no object until other code needs one. */
  open?: ((conn: C) => void) | undefined
  /**
   * Bytes have arrived, at most 64 KiB; with a `framing`, one frame, without its length or delimiter. Without this
   * handler received bytes are read and dropped.
   */
  data?: ((conn: C, chunk: Buffer) => void) | undefined
  /**
   * All queued bytes have gone to the kernel, after a `write()` that returned `false`, for example because of `end()`.
   */
  drain?: ((conn: C) => void) | undefined
  /**
   * The peer has sent its FIN, and all bytes before it have been delivered. Called once. The local side then ends, see
   * `allowHalfOpen`.
   */
  end?: ((conn: C) => void) | undefined
  /**
   * A timeout of the connection has run out; called again after each further such period. Without this handler the
   * connection is destroyed with ERR_C1M_IDLE_TIMEOUT, ERR_C1M_READ_TIMEOUT, ERR_C1M_WRITE_TIMEOUT or
   * ERR_C1M_CONNECTION_TIMEOUT. It is always destroyed when a whole period has passed after `end()`, so that a handler
   * that ends it gets rid of a peer that never responds.
   */
  timeout?: ((conn: C, kind: TimeoutKind) => void) | undefined
  /** The reactor is shutting down: send a last message and `end()`. Without this handler the connection is ended. */
  shutdown?: ((conn: C) => void) | undefined
  /**
   * The connection has closed; called exactly once for each, and last. `error` is the reason; it is `undefined` after
   * the FINs of both sides, and after a local `reset()` or `destroy()` without an error.
   */
  close?: ((conn: C, error?: CloseError) => void) | undefined
  /**
   * One of the other handlers threw `error`, or is async and its promise rejected with it: then this handler is called
   * in place of an uncaught exception or an unhandled rejection. The connection is as it was; destroy it if its state
   * can't be trusted any more. It may have closed meanwhile. An error that this handler throws is uncaught, as without
   * it.
   */
  error?: ((conn: C, error: unknown) => void) | undefined
}

/**
 * The reason why a connection closed: a `C1mError`, a `SystemError` (with `errno` and `syscall`), or the error that was
 * passed to `destroy()`.
 */
export interface CloseError extends Error {
  /** ERR_C1M_…, the system's code (`ECONNRESET`), or that of the error passed to `destroy()`. */
  // An intersection with {} keeps editors from folding the known codes into string.
  readonly code?: ErrorCode | (string & {})
  /** The negative error number, if the error is the system's. */
  readonly errno?: number
  /** The system call that failed, if the error is the system's. */
  readonly syscall?: string
}

type Name = keyof HandlersOf<never>

/** @internal The names of all handlers. */
export const handlerNames: readonly Name[] = keysOf<HandlersOf<never>>({
  open: true,
  data: true,
  drain: true,
  end: true,
  timeout: true,
  shutdown: true,
  close: true,
  error: true,
})

/** Other libraries' names for handlers. */
const MEANT: Meant = {
  connection: 'open',
  connect: 'open',
  secureConnection: 'open',
  message: 'data',
  handshake: 'open',
}

/**
 * @internal Throws unless these can be handlers. An object literal must have no other functions, because a misspelt
 * handler would never be called; an instance of a class may have methods of its own, in addition to at least one
 * handler.
 */
export function checkHandlers<C>(handlers: HandlersOf<C>): void {
  checkObject('handlers', handlers, '{ data() {} }')
  for (const name of handlerNames) {
    const handler: unknown = handlers[name]
    if (handler !== undefined && typeof handler !== 'function')
      throw invalidType(`handlers.${name}`, 'a function', handler)
  }
  const prototype = Object.getPrototypeOf(handlers)
  // A module may export more than its handlers.
  const isLiteral = isRoot(prototype) && !types.isModuleNamespaceObject(handlers)
  if (!isLiteral && handlerNames.some((name) => handlers[name] !== undefined)) return
  for (const name of functionsOf(handlers)) {
    if (handlerNames.includes(name as Name)) continue
    const meant = Object.hasOwn(MEANT, name) ? MEANT[name] : nearest(name.replace(/^on[_-]?(?=.)/i, ''), handlerNames)
    const hint = meant === undefined ? `there are ${handlerNames.join(', ')}` : `is "${meant}" meant?`
    throw invalidValue(`"handlers" has no "${name}"; ${hint}`)
  }
}

/** True at the end of a prototype chain: Object.prototype, of whichever realm, or null. */
function isRoot(prototype: object | null): boolean {
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Returns the names of the object's functions, including those of its class. */
function functionsOf(handlers: object): string[] {
  const names: string[] = []
  for (let at = handlers; at === handlers || !isRoot(at); at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === 'function' && name !== 'constructor') names.push(name)
    }
  }
  return names
}

const contained = new WeakMap<object, Contained>()

/**
 * @internal Returns these handlers; or, if `error` is one of them, handlers that call it with errors of the others.
 * Both look a handler up when they call it: one that is replaced on the object takes effect.
 */
export function containErrors<C>(handlers: HandlersOf<C>): HandlersOf<C> {
  if (handlers.error === undefined) return handlers
  let made = contained.get(handlers)
  if (made === undefined) {
    made = new Contained(handlers)
    contained.set(handlers, made)
  }
  return made as HandlersOf<C>
}

/** Handlers that exist whenever the user's object has them, and that contain their errors. */
class Contained {
  readonly #handlers: HandlersOf<never>
  readonly #calls = new Map<Name, (conn: never, detail: never) => void>()

  constructor(handlers: HandlersOf<never>) {
    this.#handlers = handlers
    for (const name of handlerNames) {
      if (name === 'error') continue // has no handler to contain its errors
      this.#calls.set(name, (conn, detail) => this.#call(name, conn, detail))
      Object.defineProperty(this, name, {
        get: () => (handlers[name] === undefined ? undefined : this.#calls.get(name)),
      })
    }
  }

  get error(): HandlersOf<never>['error'] {
    return (conn, error) => this.#failed(conn, error)
  }

  #failed(conn: never, error: unknown): void {
    if (this.#handlers.error === undefined) throw error
    this.#handlers.error(conn, error)
  }

  #call(name: Name, conn: never, detail: never): void {
    try {
      const result: unknown = this.#handlers[name]?.(conn, detail)
      const { then } = Object(result) as Partial<PromiseLike<unknown>>
      if (typeof then === 'function') then.call(result, undefined, (error) => this.#failed(conn, error))
    } catch (error) {
      this.#failed(conn, error)
    }
  }
}
