import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'

/** `[host, port, family]`; family is 4, 6 or 0. */
export type AddressParts = readonly [host: string, port: number, family: number]

/** @internal The address of a connection; `undefined` if it has closed. */
export type Address = AddressParts | undefined

/** @internal */
export interface Addresses {
  readonly local: Address
  readonly remote: Address
}

/** @internal Returns `{ address, family, port }` as in `node:net`, or the path of a Unix socket. */
export function boundAddress([address, port, family]: AddressParts): AddressInfo | string {
  return family === 0 ? address : { address, family: family === 4 ? 'IPv4' : 'IPv6', port }
}

/** @internal Returns the port; `undefined` for a Unix socket. */
export function boundPort([, port, family]: AddressParts): number | undefined {
  return family === 0 ? undefined : port
}

/** @internal Returns the text that `console.log` shows. */
export function showBound([address, port, family]: AddressParts): string {
  return family === 0 ? inspect(address) : `${address} ${port}`
}

/** @internal */
export function familyName(family: number | undefined): 'IPv4' | 'IPv6' | undefined {
  return family === 4 ? 'IPv4' : family === 6 ? 'IPv6' : undefined
}
