import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import type { AddressParts } from './binding.js'

/** @internal `{ address, family, port }` as in `node:net`, or the path of a Unix socket. */
export function boundAddress([address, port, family]: AddressParts): AddressInfo | string {
  return family === 0 ? address : { address, family: family === 4 ? 'IPv4' : 'IPv6', port }
}

/** @internal `undefined` of a Unix socket. */
export function boundPort([, port, family]: AddressParts): number | undefined {
  return family === 0 ? undefined : port
}

/** @internal As `console.log` shows it. */
export function showBound([address, port, family]: AddressParts): string {
  return family === 0 ? inspect(address) : `${address} ${port}`
}
