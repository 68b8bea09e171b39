import { setTimeout as sleep } from 'node:timers/promises'
import { residentBytes } from './process-stats.js'
import type { Server } from './server.js'

/**
 * V8 releases the growth of its young generation after a burst (up to 2 MB for 19,000 small objects) at a collection
 * that
 * comes after some seconds of few allocations; the allocators take some time after that. A quick run doesn't wait so
 * long, and shows more memory.
 */
const settleMs = 3000
const quickSettleMs = 300

/** Returns the RSS after garbage collections, when the allocators have released their memory. */
export async function settledBytes(server: Server, quick: boolean): Promise<number> {
  for (let collection = 0; collection < 2; collection++) {
    await server.collectGarbage()
    await sleep(quick ? quickSettleMs : settleMs)
  }
  await server.collectGarbage()
  return residentBytes(server.pid)
}
