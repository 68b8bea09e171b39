import type { Addresses } from '../base/address.js'

/** @internal The addresses of connections on their way to another I/O thread: neither can be asked for them. */
const transits = new WeakMap<object, Addresses>()

/** @internal */
export function beginTransit(conn: object, addresses: Addresses): void {
  transits.set(conn, addresses)
}

/** @internal It may be on another such way by now, and that isn't over. */
export function endTransit(conn: object, addresses: Addresses): void {
  if (transits.get(conn) === addresses) transits.delete(conn)
}

/** @internal */
export function addressesInTransit(conn: object): Addresses | undefined {
  return transits.get(conn)
}
