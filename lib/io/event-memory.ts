import { markAsUntransferable } from 'node:worker_threads'
import type { EventMemory } from '../native/binding-types.js'
import { EVENT_RECORDS, EVENT_WORDS } from '../native/layout.js'
import { markReadAgain } from './command-writer.js'

/**
 * The number of batches in circulation: one is being delivered, one waits, one is being filled, one is being returned.
 */
const EVENT_BATCHES = 4
/** The size of the memory that reads fill. A handler that keeps an owned chunk keeps the whole slab it lies in. */
const SLAB_BYTES = 256 * 1024

/** Makes the memory of all event batches of an I/O thread. */
export function makeEventMemory(): EventMemory[] {
  const batches = Array.from({ length: EVENT_BATCHES }, () => ({
    records: new Uint32Array(EVENT_RECORDS * EVENT_WORDS),
    owned: makeSlab(),
    borrowed: makeSlab(),
  }))
  for (const { borrowed } of batches) markReadAgain(borrowed)
  return batches
}

/** Makes memory for owned chunks. */
export function makeSlab(): Buffer {
  const slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  // Many chunks share the slab, and later ones will: code that transfers one of them gets a copy, or an error.
  markAsUntransferable(slab.buffer)
  return slab
}

/**
 * The class of Node's Buffers, `FastBuffer`. `subarray()` makes the same object in twice the time, which is the largest
 * part of the cost of a small frame (250 against 120 ns, on a busy machine).
 */
const Chunk = (
  Buffer as unknown as { readonly [Symbol.species]: new (of: ArrayBufferLike, at: number, n: number) => Buffer }
)[Symbol.species]

/** Returns a slice of a slab. */
export function slice(slab: Buffer, offset: number, length: number): Buffer {
  return new Chunk(slab.buffer, slab.byteOffset + offset, length)
}
