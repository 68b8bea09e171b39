import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { type AddressParts, boundAddress, boundPort, showBound } from './base/address.js'
import { notMade } from './base/errors.js'
import { needStack } from './base/stack.js'
import type { AppliedSocketOptions } from './options/socket-options.js'

/** @internal Where a listener is, once it is. */
export interface ListenerState {
  /** Settles when it is open on all of its threads, or on none. */
  opened: Promise<unknown>
  address: AddressParts
  options: AppliedSocketOptions
}

/** @internal An I/O thread, as far as a listener needs it. */
export interface ListenerPart {
  /** Of this listener, and of none that has its number since. */
  connectionsOf(index: number, listener: unknown): number
  /** Resolves when its socket is closed and the last connection that it accepted has opened. */
  closeListener(index: number): Promise<void>
}

/** @internal */
export let makeListener: <T>(parts: readonly ListenerPart[], index: number, state: ListenerState) => Listener<T>

/**
 * A listening socket, as `reactor.listen()` resolves with it.
 *
 * @example
 * const listener = await reactor.listen({ port: 0 }, handlers)
 * console.log(listener.address()) // { address: '::', family: 'IPv6', port: 54321 }
 * await listener.close()
 */
export class Listener<T = unknown> {
  /** Only a type: it tells listeners of different data apart. A private one would lose its type in the declarations. */
  declare protected readonly __data: T
  /** What `JSON.stringify()` shows. Own, and a function, so that `structuredClone()` refuses what it can't clone. */
  readonly toJSON = () => ({ address: this.address(), connections: this.connections, closed: this.closed })
  /** As `openOn()` has them. */
  readonly #parts: readonly ListenerPart[]
  readonly #index: number
  readonly #state: ListenerState
  #closing: Promise<void> | undefined

  private constructor(parts: readonly ListenerPart[], index: number, state: ListenerState) {
    if (state === undefined) throw notMade('Listener', 'reactor.listen()')
    this.#parts = parts
    this.#index = index
    this.#state = state
  }

  static {
    makeListener = <T>(parts: readonly ListenerPart[], index: number, state: ListenerState) =>
      new Listener<T>(parts, index, state)
  }

  /**
   * Where it listens: `{ address, family, port }` as in `node:net`, or the path of a Unix socket. Still answers after
   * `close()`. (getsockname(2))
   */
  address(): AddressInfo | string {
    return boundAddress(this.#state.address)
  }

  /** The port it listens on; `undefined` on a Unix socket. */
  get port(): number | undefined {
    return boundPort(this.#state.address)
  }

  /** The socket options of the listening socket, as the kernel applied them when it was opened. (getsockopt(2)) */
  get options(): AppliedSocketOptions {
    return this.#state.options
  }

  /** How many connections that it accepted have not closed. */
  get connections(): number {
    return this.#parts.reduce((sum, io) => sum + io.connectionsOf(this.#index, this), 0)
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closing !== undefined
  }

  /**
   * Stops listening; resolves when the socket is closed, the file of a Unix socket removed, and the last connection
   * that it had accepted has opened. Connections stay. What waits in the kernel's queue is accepted before, unless accepting is
   * paused; then the kernel resets it.
   * Called again, it answers the same promise. (close(2))
   */
  close(): Promise<void> {
    needStack()
    // One thing at a time: where it is half open, as for a connection that comes before listen() has resolved, that is
    // finished first.
    this.#closing ??= this.#state.opened
      .then(() => closeOn(this.#parts, this.#index))
      .catch((error) => {
        // For want of memory: it listens, and may be closed again.
        this.#closing = undefined
        throw error
      })
    return this.#closing
  }

  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** What `console.log` shows. */
  [inspect.custom](): string {
    const where = showBound(this.#state.address)
    return `Listener ${where}, ${this.connections} connections${this.closed ? ', closed' : ''}`
  }
}

/** @internal Closes it, first on the thread that accepts; resolves when the last connection that was accepted has opened. */
export async function closeOn(parts: readonly ListenerPart[], index: number): Promise<void> {
  const [home, ...others] = parts
  // Nothing is handed over any more once it has answered, and what was has reached the others' inboxes.
  await home?.closeListener(index)
  await Promise.all(others.map((thread) => thread.closeListener(index)))
}
