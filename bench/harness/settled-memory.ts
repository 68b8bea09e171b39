import { setTimeout as sleep } from 'node:timers/promises'
import { residentBytes } from './process-stats.js'
import type { Server } from './server.js'

/** Allocators give memory back some time after a collection. */
const settleMs = 300

/** RSS when garbage has been collected and the allocators have come to rest. */
export async function settledBytes(server: Server): Promise<number> {
  await server.collectGarbage()
  await sleep(settleMs)
  await server.collectGarbage()
  return residentBytes(server.pid)
}
