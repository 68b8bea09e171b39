import type { AddressInfo } from 'node:net'
import type { AddressParts } from './binding.js'
import type { IoThread } from './io-thread.js'
import type { Handlers } from './options.js'
import type { AppliedSocketOptions } from './socket-options.js'

/** @internal What a connection needs of the listener that it came from. */
export interface ListenerContext {
  readonly listener: Listener<unknown>
  readonly handlers: Handlers<unknown>
  readonly highWaterMark: number
  readonly maxWriteQueue: number
  readonly allowHalfOpen: boolean
}

/** @internal Where a listener is, once it is. */
export interface ListenerState {
  address: AddressParts
  options: AppliedSocketOptions
}

/**
 * A listening socket, as `reactor.listen()` resolves with it.
 *
 * @example
 * const listener = await reactor.listen({ port: 0 }, handlers)
 * console.log(listener.address()) // { address: '::', family: 'IPv6', port: 54321 }
 * await listener.close()
 */
export class Listener<T = unknown> {
  declare private readonly __data: T
  readonly #io: IoThread
  readonly #index: number
  readonly #state: ListenerState
  #closing: Promise<void> | undefined

  /** @internal */
  constructor(io: IoThread, index: number, state: ListenerState) {
    this.#io = io
    this.#index = index
    this.#state = state
  }

  /** Where it listens: `{ address, family, port }` as in `node:net`, or the path of a Unix socket. */
  address(): AddressInfo | string {
    const [address, port, family] = this.#state.address
    return family === 0 ? address : { address, family: family === 4 ? 'IPv4' : 'IPv6', port }
  }

  /** The port it listens on; `undefined` on a Unix socket. */
  get port(): number | undefined {
    const [, port, family] = this.#state.address
    return family === 0 ? undefined : port
  }

  /** The socket options as the kernel applied them. */
  get options(): AppliedSocketOptions {
    return this.#state.options
  }

  /** Connections that it accepted and that have not closed. */
  get connections(): number {
    return this.#io.connectionsOf(this.#index)
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closing !== undefined
  }

  /**
   * Stops listening; resolves when the socket is closed and the file of a Unix socket removed. Connections stay. What
   * waits in the kernel's queue is reset by the kernel.
   */
  close(): Promise<void> {
    this.#closing ??= this.#io.closeListener(this.#index)
    return this.#closing
  }
}
