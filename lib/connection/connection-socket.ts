import { inspect } from 'node:util'
import { type Address, type Addresses, familyName } from '../base/address.js'
import { type ConnectionId, connectionId } from '../base/connection-id.js'
import { invalidValue } from '../base/errors.js'
import { needStack } from '../base/stack.js'
import { checkInteger } from '../base/validate.js'
import type { ContextOf } from '../io/connection-context.js'
import type { Place } from '../io/io-port.js'
import { COMMAND_SET_TIMEOUT } from '../native/layout.js'
import { type AppliedSocketOptions, encodeSetOptions, type SocketOptions } from '../options/socket-options.js'
import type { TcpInfo } from '../options/tcp-info.js'
import { checkTimeouts, type Timeouts } from '../options/timeouts.js'
import { bufferedEvents } from './connection-notes.js'
import { applyOptions, readTcpInfo } from './connection-requests.js'
import { movedId } from './moved-ids.js'
import { addressesInTransit } from './transit.js'

/** The socket part of a connection: its identity, its addresses, its options and its timeouts. */
export abstract class ConnectionSocket {
  /** @internal */
  slot: number
  /** @internal */
  generation: number
  /** @internal */
  context: ContextOf<never>

  /** @internal */
  protected constructor(slot: number, generation: number, context: ContextOf<never>) {
    this.slot = slot
    this.generation = generation
    this.context = context
  }

  /** @internal */
  protected address(remote: boolean): Address {
    const known = bufferedEvents.get(this)?.closed ?? addressesInTransit(this)
    if (known !== undefined) return remote ? known.remote : known.local
    // The slot, and with it the address, belongs to another connection after `close`.
    return this.context.io.holds(this.slot, this.generation)
      ? this.context.io.native.address(this.slot, remote)
      : undefined
  }

  /**
   * @internal Calls `run` soon, and in the async context of all other events: not in that of the code that causes it.
   */
  later(run: () => void): void {
    process.nextTick(() => this.context.io.scope.runInAsyncScope(run))
  }

  abstract get closed(): boolean

  /** The connection's identity, as in `reactor.connections.get(id)`. */
  get id(): ConnectionId {
    return movedId(this) ?? connectionId(this.context.io.index, this.slot, this.generation)
  }

  /**
   * The peer's address; `undefined` on a Unix socket. Readable until the `close` handler has returned. As in
   * `node:net`, an IPv4 peer of a dual-stack listener is `::ffff:192.0.2.7`. (accept4(2))
   */
  get remoteAddress(): string | undefined {
    return this.address(true)?.[0] || undefined
  }
  /** The peer's port; `undefined` on a Unix socket. */
  get remotePort(): number | undefined {
    const address = this.address(true)
    return address?.[2] ? address[1] : undefined
  }
  /** `'IPv4'` or `'IPv6'`; `undefined` on a Unix socket. */
  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return familyName(this.address(true)?.[2])
  }
  /**
   * The local address of this connection, or the path of a Unix socket. Readable until the `close` handler has
   * returned. (getsockname(2))
   */
  get localAddress(): string | undefined {
    return this.address(false)?.[0] || undefined
  }
  /** The local port; `undefined` on a Unix socket. */
  get localPort(): number | undefined {
    const address = this.address(false)
    return address?.[2] ? address[1] : undefined
  }
  /** `'IPv4'` or `'IPv6'`; `undefined` on a Unix socket. */
  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return familyName(this.address(false)?.[2])
  }

  /**
   * Sets the connection's idle timeout in place of the listener's `idleTimeoutMs`, and restarts it: then `timeout` is
   * called, or without that handler the connection is destroyed with ERR_C1M_IDLE_TIMEOUT. Returns `false` if the
   * connection has closed. Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE) or RangeError (ERR_C1M_OUT_OF_RANGE) for a bad
   * `ms`, and a TypeError (ERR_C1M_INVALID_ARG_VALUE) for a callback.
   *
   * @param ms Milliseconds without a byte read, written, or acknowledged by the peer; 0 is never. 0 to 2^31-1; never
   *   early, up to 16 ms late.
   * @example
   * conn.setTimeout(30_000)
   */
  setTimeout(ms: number, callback?: undefined): boolean {
    checkInteger('ms', ms, 0, 2 ** 31 - 1)
    // The setTimeout() of node:net takes a callback.
    if (callback !== undefined) throw invalidValue('"setTimeout" takes no callback: the "timeout" handler is called')
    if (this.closed) return false
    return this.command(COMMAND_SET_TIMEOUT, ms)
  }

  /**
   * Sets the given timeouts of the connection, in place of the listener's, and restarts them. Returns `false` if the
   * connection has closed. Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE) or RangeError
   * (ERR_C1M_OUT_OF_RANGE) for bad ones.
   *
   * @example
   * conn.setTimeouts({ readMs: 10_000, totalMs: 0 }) // 10 s for the next byte, and no limit on the whole
   */
  setTimeouts(timeouts: Timeouts): boolean {
    const checked = checkTimeouts(timeouts)
    if (this.closed) return false
    // All timeouts are set, or none.
    needStack()
    this.context.io.commands.makeReady(checked.length)
    for (const [kind, ms] of checked) this.command(COMMAND_SET_TIMEOUT | (kind << 8), ms)
    return true
  }

  /**
   * Sets socket options; resolves with all of them as the kernel applied them. Rejects with a TypeError or RangeError
   * for bad values (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE, ERR_C1M_OUT_OF_RANGE), with
   * ERR_C1M_UNSUPPORTED_OPTION, ERR_C1M_CONNECTION_CLOSED, or the error of setsockopt(2); the options before the one
   * that failed stay set. Rejects with ERR_C1M_TOO_MUCH_IN_FLIGHT when 262,144 requests wait for the I/O threads.
   *
   * @example
   * const { keepAlive } = await conn.setOptions({ keepAlive: { idleMs: 30_000 } })
   */
  async setOptions(options: SocketOptions): Promise<AppliedSocketOptions> {
    return applyOptions(this.here, encodeSetOptions(options))
  }

  /**
   * Reads the socket options. Rejects with ERR_C1M_CONNECTION_CLOSED, and with ERR_C1M_TOO_MUCH_IN_FLIGHT as
   * `setOptions()` does. (getsockopt(2))
   *
   * @example
   * const { congestion, sendBufferBytes } = await conn.getOptions()
   */
  async getOptions(): Promise<AppliedSocketOptions> {
    return applyOptions(this.here, { settings: [] })
  }

  /**
   * Resolves with the kernel's figures for the connection: round-trip time, congestion window, retransmits, delivery
   * rate (TCP_INFO, tcp(7)). Rejects with ERR_C1M_CONNECTION_CLOSED; with ERR_C1M_TOO_MUCH_IN_FLIGHT as `setOptions()`
   * does; and on a Unix socket with ERR_C1M_UNSUPPORTED_OPTION.
   *
   * @example
   * const { rttMicros, totalRetransmits } = await conn.tcpInfo()
   */
  async tcpInfo(): Promise<TcpInfo> {
    return readTcpInfo(this.here)
  }

  /** The text that `console.log` shows. */
  [inspect.custom](): string {
    const where = this.remoteAddress === undefined ? '' : ` ${this.remoteAddress} ${this.remotePort}`
    return `Connection ${this.id}${where}${this.closed ? ' closed' : ''}`
  }

  /** The value that `JSON.stringify()` shows: the connection's identity and state. */
  toJSON(): { id: number; remoteAddress?: string; remotePort?: number; closed: boolean } {
    const { id, remoteAddress, remotePort, closed } = this
    return {
      id,
      ...(remoteAddress !== undefined && { remoteAddress }),
      ...(remotePort !== undefined && { remotePort }),
      closed,
    }
  }

  /** @internal The place to which requests about it go; `undefined` when it has closed. */
  get here(): Place | undefined {
    return this.closed ? undefined : { io: this.context.io, slot: this.slot, generation: this.generation }
  }

  /** @internal */
  get addresses(): Addresses {
    return { local: this.address(false), remote: this.address(true) }
  }

  /** @internal Gives the connection another place, which it has from here on. */
  relocate(slot: number, generation: number, context: ContextOf<never>): void {
    this.slot = slot
    this.generation = generation
    this.context = context
  }

  /** @internal */
  protected command(command: number, a = 0): true {
    this.context.io.commands.push(command, this.slot, this.generation, a)
    return true
  }
}
