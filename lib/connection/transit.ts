import type { Addresses } from '../base/address.js'

/** @internal The addresses of connections that are migrating to another I/O thread: neither thread can report them. */
const transits = new WeakMap<object, Addresses>()

/** @internal */
export function beginTransit(conn: object, addresses: Addresses): void {
  transits.set(conn, addresses)
}

/** @internal Ends the transit, unless another one of the same connection has begun meanwhile. */
export function endTransit(conn: object, addresses: Addresses): void {
  if (transits.get(conn) === addresses) transits.delete(conn)
}

/** @internal */
export function addressesInTransit(conn: object): Addresses | undefined {
  return transits.get(conn)
}
