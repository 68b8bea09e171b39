import { setTimeout as sleep } from 'node:timers/promises'
import { residentBytes } from './process-stats.js'
import type { Server } from './server.js'

/**
 * V8 gives back what a burst has added to its young generation (up to 2 MB for 19,000 small objects) at a collection that
 * finds allocation to have been low for some seconds; the allocators take some time after that. A quick run doesn't wait
 * so long, and shows more.
 */
const settleMs = 3000
const quickSettleMs = 300

/** RSS when garbage has been collected and the allocators have come to rest. */
export async function settledBytes(server: Server, quick: boolean): Promise<number> {
  for (let collection = 0; collection < 2; collection++) {
    await server.collectGarbage()
    await sleep(quick ? quickSettleMs : settleMs)
  }
  await server.collectGarbage()
  return residentBytes(server.pid)
}
