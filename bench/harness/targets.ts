import { decimal } from './table.js'

/** A target for a figure. A missed one is only reported, because figures depend on the machine. */
export interface Target {
  readonly what: string
  readonly limit: number
  readonly direction: 'at most' | 'at least'
  readonly actual: number
  readonly met: boolean
}

export function atMost(what: string, limit: number, actual: number): Target {
  return { what, limit, direction: 'at most', actual, met: actual <= limit }
}

export function atLeast(what: string, limit: number, actual: number): Target {
  return { what, limit, direction: 'at least', actual, met: actual >= limit }
}

export function formatTarget({ what, limit, direction, actual, met }: Target): string {
  return `${met ? 'met   ' : 'MISSED'}  ${what}: ${decimal(actual)} (${direction} ${limit})`
}

/** Returns the targets for which both sides were measured. */
export function measured(targets: readonly Target[]): Target[] {
  return targets.filter(({ actual }) => Number.isFinite(actual))
}
