import { ADDRCONFIG } from 'node:dns'
import { constants } from 'node:os'
import { onAbort, reasonOf } from '../base/abort.js'
import { reactorFull, systemError } from '../base/errors.js'
import type { Connection, Handlers } from '../connection/connection.js'
import type { Failure, Full } from '../native/binding-types.js'
import { failureOf } from '../options/socket-options.js'
import type { IoThread } from '../thread/io-thread.js'
import { inCallersContext } from './callers-handlers.js'
import { addressesOf, familyOf, interleave } from './connect-addresses.js'
import type { CheckedConnect } from './connect-options.js'

/** @internal The part of its reactor that an attempt needs. */
export interface ConnectOwner {
  readonly io: IoThread
  /** Returns a number for the context of a connection. */
  newContext(): number
  /** Called when the attempt has ended. */
  ended(attempt: Connecting<never>): void
}

/** The error number of `dns.lookup` for no result: libuv's UV_EAI_NONAME. */
const UV_EAI_NONAME = -3008
const NO_HANDLERS: Handlers<unknown> = {}

/** One address that is being tried. */
interface Try {
  readonly number: number
  readonly context: { handlers: Handlers<unknown> }
}

/**
 * @internal One call of `connect()`: addresses are tried until one connects, all have failed, or the call is cancelled.
 */
export class Connecting<T> {
  readonly #owner: ConnectOwner
  readonly #options: CheckedConnect
  readonly #handlers: Handlers<unknown>
  /** True without a `data` handler: the code that awaits the promise will say who gets the bytes. */
  readonly #paused: boolean
  readonly #resolve: (conn: Connection<T>) => void
  readonly #reject: (error: unknown) => void
  readonly #deadline: number
  readonly #forgetSignal: (() => void) | undefined
  /** Addresses that have not been tried. */
  #addresses: string[] = []
  readonly #tries = new Set<Try>()
  readonly #errors: Error[] = []
  #timer: NodeJS.Timeout | undefined
  #over = false

  constructor(
    owner: ConnectOwner,
    options: CheckedConnect,
    handlers: Handlers<T>,
    resolve: (conn: Connection<T>) => void,
    reject: (error: unknown) => void,
  ) {
    this.#owner = owner
    this.#options = options
    this.#handlers = inCallersContext(handlers as Handlers<unknown>)
    this.#paused = handlers.data === undefined
    this.#resolve = resolve
    this.#reject = reject
    const { connectTimeoutMs, signal } = options
    this.#deadline = connectTimeoutMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + connectTimeoutMs
    if (signal !== undefined) this.#forgetSignal = onAbort(signal, () => this.fail(reasonOf(signal)))
  }

  start(): void {
    const { host, spec } = this.#options
    if (spec.path === undefined && familyOf(host) === 0) return this.#lookup()
    this.#addresses = [host]
    this.#next()
  }

  /** Cancels the call, unless it has ended. */
  fail(error: unknown): void {
    if (this.#finish()) this.#reject(error)
  }

  #lookup(): void {
    const { host, family, lookup, connectTimeoutMs } = this.#options
    // The I/O thread watches the time while addresses are tried; this timer is for the lookup.
    if (connectTimeoutMs > 0) this.#timer = setTimeout(() => this.fail(this.#timedOut()), connectTimeoutMs).unref()
    const hints = family === 0 ? ADDRCONFIG : 0
    try {
      const result: unknown = lookup(host, { all: true, family, hints }, (error, found) => this.#found(error, found))
      // An async lookup may reject, and doesn't call back then.
      const { then } = Object(result) as Partial<PromiseLike<unknown>>
      if (typeof then === 'function') then.call(result, undefined, (error) => this.fail(error))
    } catch (error) {
      this.fail(error)
    }
  }

  #found(error: Error | null, found: unknown): void {
    if (this.#over || this.#addresses.length > 0 || this.#tries.size > 0) return
    clearTimeout(this.#timer)
    if (error) return this.fail(error)
    let all: string[]
    try {
      all = addressesOf(found)
    } catch (wrong) {
      return this.fail(wrong)
    }
    const { host, autoSelectFamily } = this.#options
    const wanted = all.filter((address) => this.#options.family === 0 || familyOf(address) === this.#options.family)
    if (wanted.length === 0) {
      const code = 'ENOTFOUND'
      const none = new Error(`getaddrinfo ${code} ${host}`)
      return this.fail(Object.assign(none, { code, errno: UV_EAI_NONAME, syscall: 'getaddrinfo', hostname: host }))
    }
    this.#addresses = autoSelectFamily ? interleave(wanted) : wanted.slice(0, 1)
    this.#next()
  }

  /** Tries the next address. */
  #next(): void {
    clearTimeout(this.#timer)
    const address = this.#addresses.shift()
    if (address === undefined) return
    if (this.#addresses.length > 0) {
      this.#timer = setTimeout(() => this.#next(), this.#options.attemptTimeoutMs).unref()
    }
    this.#try(address)
  }

  #try(address: string): void {
    const { io } = this.#owner
    const { spec, settings } = this.#options
    const { highWaterMark, maxWriteQueue, allowHalfOpen, framing } = this.#options.context
    // There are no spreads here: V8 makes a hidden class for each object that is spread and then extended, and there
    // may be many of these.
    const context = {
      io,
      listener: undefined,
      handlers: this.#handlers,
      highWaterMark,
      maxWriteQueue,
      allowHalfOpen,
      framing,
      newData: this.#options.newData,
      paused: this.#paused,
    }
    const one: Try = { number: this.#owner.newContext(), context }
    this.#tries.add(one)
    const left = this.#deadline - performance.now()
    io.connect(
      {
        host: spec.path === undefined ? address : undefined,
        port: spec.port,
        path: spec.path,
        localAddress: this.#localAddress(address),
        localPort: spec.localPort,
        mptcp: spec.mptcp,
        fastOpen: spec.fastOpen,
        connectTimeoutMs: Number.isFinite(left) ? Math.max(Math.ceil(left), 1) : 0,
        settings: spec.settings,
        congestion: spec.congestion,
        connection: {
          context: one.number,
          borrowed: settings.borrowed,
          paused: this.#paused,
          idleTimeoutMs: settings.idleTimeoutMs,
          readTimeoutMs: settings.readTimeoutMs,
          writeTimeoutMs: settings.writeTimeoutMs,
          totalTimeoutMs: settings.totalTimeoutMs,
          framing: settings.framing,
        },
      },
      context,
      (conn) => this.#opened(one, conn),
      (failure) => this.#failed(one, address, failure),
    )
  }

  /** Returns the local address for a connection to this address, if there must be one. */
  #localAddress(address: string): string | undefined {
    const { localAddress, localPort } = this.#options.spec
    if (localAddress !== undefined || localPort === 0) return localAddress
    return familyOf(address) === 4 ? '0.0.0.0' : '::'
  }

  #opened(one: Try, conn: Connection<unknown>): void {
    this.#tries.delete(one)
    if (this.#finish()) {
      this.#resolve(conn as Connection<T>)
    } else {
      // Another address was first, or the call was cancelled just then. No handler has been called, and none will be.
      conn.destroy()
    }
  }

  #failed(one: Try, address: string, failure: Failure | Full): void {
    this.#tries.delete(one)
    if (this.#over) return
    if ('full' in failure) {
      this.#errors.push(reactorFull())
    } else if (failure.option !== undefined) {
      // The other addresses would be refused for the same reason.
      return this.fail(failureOf(failure))
    } else if (failure.errno === constants.errno.ETIMEDOUT && performance.now() >= this.#deadline) {
      return this.fail(this.#timedOut())
    } else {
      this.#errors.push(this.#errorOf(failure, address))
    }
    if (this.#addresses.length > 0) return this.#next()
    if (this.#tries.size === 0) this.fail(allFailed(this.#errors))
  }

  #errorOf({ errno, syscall }: Failure, address: string): Error {
    const { port, path, localPort } = this.#options.spec
    if (path !== undefined) return systemError(errno, 'connect', { address: path })
    if (syscall === 'bind') {
      const local = this.#localAddress(address)
      return systemError(errno, 'bind', { address: local, ...(localPort > 0 && { port: localPort }) })
    }
    // The system calls share one name, as in `node:net`, because programs compare it.
    return systemError(errno, 'connect', { address, port })
  }

  #timedOut(): Error {
    const { host, spec } = this.#options
    const about = spec.path === undefined ? { address: host, port: spec.port } : { address: spec.path }
    return systemError(constants.errno.ETIMEDOUT, 'connect', about)
  }

  /** Ends the call; returns false if it had ended already. */
  #finish(): boolean {
    if (this.#over) return false
    this.#over = true
    clearTimeout(this.#timer)
    this.#forgetSignal?.()
    for (const { number, context } of this.#tries) {
      // The connection may be open already, with events in flight: those must not reach the user's handlers.
      context.handlers = NO_HANDLERS
      this.#owner.io.cancelConnect(number)
    }
    this.#owner.ended(this as Connecting<never>)
    return true
  }
}

/** Returns a single error itself; several become one with the code of the first, as in `node:net`. */
function allFailed(errors: readonly Error[]): Error {
  const [first] = errors as readonly [Error & { code?: string }]
  if (errors.length === 1) return first
  const all = new AggregateError(errors, errors.map(({ message }) => message).join(', '))
  return Object.assign(all, { code: first.code })
}
