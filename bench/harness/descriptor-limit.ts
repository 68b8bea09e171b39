import { readFileSync } from 'node:fs'

/** The number of descriptors for a process's own files: libraries, pipes, epoll. */
const reserve = 500

/**
 * Returns the wanted number of connections, or the max for which one process may have descriptors. Node raises its soft
 * limit to the hard one when it starts, and its children inherit that.
 */
export function connectionsWithinLimit(wanted: number): number {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
  return limit === undefined ? wanted : Math.min(wanted, Number(limit) - reserve)
}
