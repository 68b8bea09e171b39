import { canKeep } from './command-writer.js'
import type { IoThread } from './io-thread.js'
import { TARGET_WORDS } from './layout.js'
import { checkChunk } from './validate.js'

/**
 * What became of a broadcast, when each of those that it was for has had its turn. Connections that had ended, closed or
 * failed meanwhile are in none of the three.
 */
export interface BroadcastResult {
  /** To these all of it has gone: their socket has taken it whole. */
  readonly reached: number
  /** In the queues of these a part of it still waits, or all; it goes when their socket has room. */
  readonly queued: number
  /** These were destroyed, with ERR_C1M_WRITE_QUEUE_FULL: it would have brought their queue over `maxWriteQueue`. */
  readonly cut: number
}

/** @internal Those of one I/O thread that a broadcast is for: `count` targets, as `Members` has them. */
export interface Audience {
  readonly thread: IoThread
  readonly targets: Uint32Array
  readonly count: number
}

/** @internal The bytes of a chunk. Throws as `Connection.write()` does. */
export function bytesOf(chunk: string | Uint8Array, encoding: BufferEncoding = 'utf8'): Uint8Array {
  checkChunk(chunk, encoding)
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
}

/** @internal Sends the bytes to all of them, but for a slot on one thread. */
export async function broadcast(
  audiences: readonly Audience[],
  bytes: Uint8Array,
  except?: { readonly thread: IoThread; readonly slot: number },
): Promise<BroadcastResult> {
  const asked = audiences.filter(({ count }) => count > 0)
  const results = await Promise.all(
    asked.map((audience) => send(audience, bytes, except?.thread === audience.thread ? except.slot : undefined)),
  )
  const total = { reached: 0, queued: 0, cut: 0 }
  for (const { reached, queued, cut } of results) {
    total.reached += reached
    total.queued += queued
    total.cut += cut
  }
  return total
}

function send({ thread, targets, count }: Audience, bytes: Uint8Array, except?: number): Promise<BroadcastResult> {
  return thread.request<BroadcastResult>((batch, callback) =>
    thread.native.broadcast(
      batch,
      (reached, queued, cut) => callback({ reached, queued, cut }),
      bytes,
      canKeep(bytes),
      targets,
      count,
      except,
    ),
  )
}

/** @internal The open connections of a thread, or those that `filter` takes; without it no objects are made. */
export function audienceOf(thread: IoThread, filter: ((slot: number, generation: number) => boolean) | undefined) {
  const targets = new Uint32Array(thread.size * TARGET_WORDS)
  let count = 0
  for (const [slot, generation] of thread.open()) {
    if (filter !== undefined && !filter(slot, generation)) continue
    const at = count++ * TARGET_WORDS
    targets[at] = slot
    targets[at + 1] = generation
    targets[at + 2] = thread.maxWriteQueueOf(slot)
  }
  return { thread, targets, count }
}
