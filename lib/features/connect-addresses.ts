import type { LookupAddress } from 'node:dns'
import { isIP } from 'node:net'
import { inspect } from 'node:util'
import { invalidValue } from '../base/errors.js'

/** @internal Returns the family of a literal, which may name an interface; 0 for a name. */
export function familyOf(address: string): 0 | 4 | 6 {
  return isIP(address.replace(/%.*$/, '')) as 0 | 4 | 6
}

/**
 * @internal Returns the addresses that a `lookup` found: one or a list, of objects or of plain strings. Throws for
 * anything else.
 */
export function addressesOf(found: unknown): string[] {
  return (Array.isArray(found) ? found : [found]).map((one: unknown) => {
    const address = typeof one === 'object' ? (one as Partial<LookupAddress> | null)?.address : one
    if (typeof address === 'string' && familyOf(address) !== 0) return address
    throw invalidValue(`"lookup" returned ${inspect(address ?? one)}, which is no address`)
  })
}

/**
 * @internal Returns the addresses with their families in turn, beginning with that of the first (RFC 8305, section 4).
 */
export function interleave(addresses: readonly string[]): string[] {
  const first = familyOf(addresses[0] as string)
  const preferred = addresses.filter((address) => familyOf(address) === first)
  const others = addresses.filter((address) => familyOf(address) !== first)
  const mixed: string[] = []
  for (let i = 0; i < Math.max(preferred.length, others.length); i++) {
    mixed.push(...preferred.slice(i, i + 1), ...others.slice(i, i + 1))
  }
  return mixed
}
