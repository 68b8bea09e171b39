import { markAsUntransferable } from 'node:worker_threads'
import { type EventMemory, reportException } from './binding.js'
import { markReadAgain } from './command-writer.js'
import { EVENT_RECORDS, EVENT_WORDS } from './layout.js'

/** Batches that go round: one is being delivered, one waits, one is being filled, one is on its way back. */
const EVENT_BATCHES = 4
/** Memory that reads fill. A handler that keeps an owned chunk keeps the whole slab it lies in. */
const SLAB_BYTES = 256 * 1024

/** The memory of all event batches of an I/O thread. */
export function makeEventMemory(): EventMemory[] {
  const batches = Array.from({ length: EVENT_BATCHES }, () => ({
    records: new Uint32Array(EVENT_RECORDS * EVENT_WORDS),
    owned: makeSlab(),
    borrowed: makeSlab(),
  }))
  for (const { borrowed } of batches) markReadAgain(borrowed)
  return batches
}

/**
 * Slabs for batches that have used up theirs. A batch can't do without: reading would go round in circles. So one is kept for
 * each batch, of which the system gives the memory when it is written to, and an allocation that fails is made up for later.
 */
export class SlabReserve {
  readonly #slabs = Array.from({ length: EVENT_BATCHES }, makeSlab)

  /** Reports it if there is no memory; throws if the reserve is used up as well. */
  take(): Buffer {
    try {
      while (this.#slabs.length <= EVENT_BATCHES) this.#slabs.push(makeSlab())
    } catch (error) {
      reportException(error)
      if (this.#slabs.length === 0) throw error
    }
    return this.#slabs.pop() as Buffer
  }
}

/** Memory for owned chunks. */
function makeSlab(): Buffer {
  const slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  // Many chunks share it, and more are to come: who transfers one of them gets a copy, or an error.
  markAsUntransferable(slab.buffer)
  return slab
}

/**
 * What Node makes Buffers with, `FastBuffer`. `subarray()` comes to the same object in twice the time, which is the largest
 * part of what a small frame costs (250 against 120 ns, on a busy machine).
 */
const Chunk = (
  Buffer as unknown as { readonly [Symbol.species]: new (of: ArrayBufferLike, at: number, n: number) => Buffer }
)[Symbol.species]

/** A slice of a slab. */
export function slice(slab: Buffer, offset: number, length: number): Buffer {
  return new Chunk(slab.buffer, slab.byteOffset + offset, length)
}
