import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { type AddressParts, boundAddress, boundPort, showBound } from './base/address.js'
import { notMade } from './base/errors.js'
import { needStack } from './base/stack.js'
import type { AppliedSocketOptions } from './options/socket-options.js'

/** @internal The state of a listener. */
export interface ListenerState {
  /** Settles when the listener is open on all of its threads, or on none. */
  opened: Promise<unknown>
  address: AddressParts
  options: AppliedSocketOptions
}

/** @internal The part of an I/O thread that a listener needs. */
export interface ListenerPart {
  /** Returns the number of connections of this listener, and not of another one that got the same number later. */
  connectionsOf(index: number, listener: unknown): number
  /** Resolves when the listener's socket is closed and the last connection that it accepted has opened. */
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
  /**
   * A type only, which keeps listeners of different data apart. A private member would lose its type in the
   * declarations.
   */
  declare protected readonly __data: T
  /** The value that `JSON.stringify()` shows. An own property and a function, so that `structuredClone()` throws. */
  readonly toJSON = () => ({ address: this.address(), connections: this.connections, closed: this.closed })
  /** The threads of the listener, in the order that `openOn()` gives them. */
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
   * Returns the address on which it listens: `{ address, family, port }` as in `node:net`, or the path of a Unix
   * socket. Works after `close()` as well. (getsockname(2))
   */
  address(): AddressInfo | string {
    return boundAddress(this.#state.address)
  }

  /** The port on which it listens; `undefined` on a Unix socket. */
  get port(): number | undefined {
    return boundPort(this.#state.address)
  }

  /** The socket options of the listening socket, as the kernel applied them when it was opened. (getsockopt(2)) */
  get options(): AppliedSocketOptions {
    return this.#state.options
  }

  /** The number of connections that it accepted and that have not closed. */
  get connections(): number {
    return this.#parts.reduce((sum, io) => sum + io.connectionsOf(this.#index, this), 0)
  }

  /** True if `close()` was called. */
  get closed(): boolean {
    return this.#closing !== undefined
  }

  /**
   * Stops listening; resolves when the socket is closed, the file of a Unix socket is removed, and the last connection
   * that it had accepted has opened. Connections stay open. Connections in the kernel's queue are accepted first,
   * unless accepting is paused; then the kernel resets them. A second call returns the same promise. Rejects for lack
   * of memory only: then it still listens, and may be closed again. (close(2))
   */
  close(): Promise<void> {
    needStack()
    // Opening is finished before closing begins: the listener may be half open, as when it is closed by a connection
    // that opens before listen() has resolved.
    this.#closing ??= this.#state.opened
      .then(() => closeOn(this.#parts, this.#index))
      .catch((error) => {
        // No memory: the listener still listens, and may be closed again.
        this.#closing = undefined
        throw error
      })
    return this.#closing
  }

  /** Calls `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The text that `console.log` shows. */
  [inspect.custom](): string {
    const where = showBound(this.#state.address)
    return `Listener ${where}, ${this.connections} connections${this.closed ? ', closed' : ''}`
  }
}

/**
 * @internal Closes a listener, first on the thread that accepts; resolves when the last connection that was accepted
 * has opened.
 */
export async function closeOn(parts: readonly ListenerPart[], index: number): Promise<void> {
  const [home, ...others] = parts
  // After this reply no connection is handed over any more, and those handed over have reached the other threads'
  // inboxes.
  await home?.closeListener(index)
  await Promise.all(others.map((thread) => thread.closeListener(index)))
}
