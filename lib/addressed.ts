import { inspect } from 'node:util'
import type { Address } from './connection-context.js'
import { type ConnectionId, familyName } from './connection-id.js'

/** What has two addresses. */
export abstract class Addressed {
  /** @internal */
  protected abstract address(remote: boolean): Address
  abstract get id(): ConnectionId
  abstract get closed(): boolean

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
   * Our address of this connection, or the path of a Unix socket. Readable until the `close` handler has returned.
   * (getsockname(2))
   */
  get localAddress(): string | undefined {
    return this.address(false)?.[0] || undefined
  }
  /** Our port; `undefined` on a Unix socket. */
  get localPort(): number | undefined {
    const address = this.address(false)
    return address?.[2] ? address[1] : undefined
  }
  /** `'IPv4'` or `'IPv6'`; `undefined` on a Unix socket. */
  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return familyName(this.address(false)?.[2])
  }

  /** What `console.log` shows. */
  [inspect.custom](): string {
    const where = this.remoteAddress === undefined ? '' : ` ${this.remoteAddress} ${this.remotePort}`
    return `Connection ${this.id}${where}${this.closed ? ' closed' : ''}`
  }
}
