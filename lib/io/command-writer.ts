import type { NativeIoThread } from '../native/binding-types.js'
import { COMMAND_REQUEST, COMMAND_WORDS, COMMAND_WRITE, COMMAND_WRITE_PINNED, DRAIN_WISH } from '../native/layout.js'
import { MAX_COMMAND_BATCHES } from './in-flight.js'

/** The number of commands in a batch, and of bytes of small writes. A full batch is published early. */
const RECORDS = 4096
const ARENA_BYTES = 256 * 1024
/**
 * The size from which writes are sent from where they lie. For smaller ones, a copy into the arena costs less than
 * pinning the buffer and releasing it.
 */
const PIN_BYTES = 16 * 1024

const NO_BATCH = -1
/** The max that a record has room for: more makes no difference. */
const MAX_EXCESS = 2 ** 32 - 1
/** The limit of writes that are bounded in another way: it fits `withLimit()`, and is above any `maxWriteQueue`. */
const NO_LIMIT = 2 ** 31

/** Returns a command's first word, with the max that may wait on the connection: in KiB, rounded up. */
function withLimit(command: number, limit: number): number {
  return command | (((limit + 1023) >>> 10) << 8)
}

/** The slabs of borrowed reads, from which no write is sent: a chunk that is echoed must outlive its handler. */
const readAgain = new WeakSet<ArrayBufferLike>()

/** Marks memory that is read into again and again, so that writes are never sent from there. */
export function markReadAgain(slab: Uint8Array): void {
  readAgain.add(slab.buffer)
}

interface Batch {
  readonly records: Uint32Array
  readonly arena: Buffer
}

/**
 * Writes commands for one I/O thread into memory that it shares: there is no call into the addon for each command, and
 * one to publish a batch. While events are delivered, the addon calls `flush()` after them; at other times the first
 * command schedules it for when the current microtasks have run.
 *
 * Any call may throw, for lack of stack or memory, and its caller may catch that. So whatever can throw comes first
 * (`#next()`, `#schedule()`), then a command's payload, and last the record that names it, in plain stores.
 */
export class CommandWriter {
  readonly #native: NativeIoThread
  readonly #batches: Batch[] = []
  #index = NO_BATCH
  #records: Uint32Array = new Uint32Array(0)
  #arena: Buffer = Buffer.alloc(0)
  /** The number of records in the batch. No batch counts as a full one: the next command makes one, or throws. */
  #count = RECORDS
  #used = 0
  #scheduled = false
  #published = 0

  /** @param behind Called when MAX_COMMAND_BATCHES or more are not executed. */
  constructor(
    native: NativeIoThread,
    readonly behind: () => void,
  ) {
    this.#native = native
    this.#next()
  }

  /** Defers publishing to a `flush()` that the caller will cause soon. */
  holdForFlush(): void {
    this.#scheduled = true
  }

  /** Publishes all commands that were written. */
  readonly flush = (): void => {
    this.#scheduled = false
    if (this.#count === 0 || this.#index === NO_BATCH) return
    try {
      this.#publish()
    } catch (error) {
      // The batch is still here, and there may be no later command to publish it.
      setImmediate(this.flush)
      throw error
    }
  }

  /** The place of the next command: it changes with each. */
  get position(): number {
    return this.#published * (RECORDS + 1) + this.#count
  }

  /** The batch that the last command is in, as long as `position` is the same. */
  get batch(): number {
    return this.#index
  }

  push(command: number, slot: number, generation: number, a = 0, b = 0): void {
    this.makeReady()
    this.#record(command, slot, generation, a, b)
  }

  /**
   * Throws now if the next `request()` or `push()` would throw for lack of memory. Covers `records` of them, with no
   * `write()` between.
   */
  makeReady(records = 1): void {
    if (this.#count + records > RECORDS) this.#next()
    if (!this.#scheduled) this.#schedule()
  }

  #record(command: number, slot: number, generation: number, a: number, b: number): void {
    const records = this.#records
    const at = this.#count * COMMAND_WORDS
    records[at] = command
    records[at + 1] = slot
    records[at + 2] = generation
    records[at + 3] = a
    records[at + 4] = b
    this.#count++
  }

  /**
   * Queues bytes to send; large ones must not change until they are sent. The I/O thread destroys the connection if its
   * queues would take more than `limit` bytes of memory. `wish`: DRAIN_WISH or 0.
   */
  write(slot: number, generation: number, bytes: Uint8Array, limit = NO_LIMIT, wish = 0): void {
    const length = bytes.length
    if (canPin(bytes)) {
      this.makeReady()
      const excess = Math.min(bytes.buffer.byteLength - length, MAX_EXCESS)
      const command = withLimit(COMMAND_WRITE_PINNED, limit) | wish
      this.#record(command, slot, generation, this.#native.pin(this.#index, bytes), excess)
      return
    }
    if (length > ARENA_BYTES) {
      // The bytes stay in one piece, so that all are queued or none. The copy has memory of its own, which can be
      // pinned.
      this.write(slot, generation, Buffer.from(bytes), limit, wish)
      return
    }
    this.#reserve(length)
    this.#arena.set(bytes, this.#used)
    this.#appendWrite(slot, generation, length, withLimit(COMMAND_WRITE, limit) | wish)
  }

  /** Queues a string to send; returns its length in bytes. */
  writeString(
    slot: number,
    generation: number,
    text: string,
    encoding: BufferEncoding,
    limit: number,
    wish: number,
  ): number {
    // No encoding makes more than three bytes of a UTF-16 code unit.
    const maxBytes = text.length * 3
    if (maxBytes >= PIN_BYTES) {
      const bytes = Buffer.from(text, encoding)
      this.write(slot, generation, bytes, limit, wish)
      return bytes.length
    }
    this.#reserve(maxBytes)
    const length = this.#arena.write(text, this.#used, encoding)
    this.#appendWrite(slot, generation, length, withLimit(COMMAND_WRITE, limit) | wish)
    return length
  }

  /**
   * Queues a request: `submit` hands its payload to the addon for the batch of this number, and returns its place
   * there.
   */
  request(submit: (batch: number) => number): void {
    this.makeReady()
    this.#record(COMMAND_REQUEST, 0, 0, submit(this.#index), 0)
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes > ARENA_BYTES) this.#next()
    this.makeReady()
  }

  #appendWrite(slot: number, generation: number, length: number, command: number): void {
    const offset = this.#used
    const records = this.#records
    const last = (this.#count - 1) * COMMAND_WORDS
    // Successive writes to one connection lie side by side in the arena, so they become one.
    const joins =
      last >= 0 &&
      ((records[last] as number) | DRAIN_WISH) === (command | DRAIN_WISH) &&
      records[last + 1] === slot &&
      records[last + 2] === generation
    if (joins) {
      records[last] = (records[last] as number) | command
      records[last + 4] = (records[last + 4] as number) + length
      this.#used = offset + length
      return
    }
    this.#record(command, slot, generation, offset, length)
    this.#used = offset + length
  }

  #schedule(): void {
    // The flag is set last: if nextTick() throws, nothing is scheduled.
    process.nextTick(this.flush)
    this.#scheduled = true
  }

  /** Goes to a batch with room. */
  #next(): void {
    if (this.#index !== NO_BATCH) this.#publish()
    if (this.#index === NO_BATCH) this.#addBatch()
  }

  // The batch belongs to the addon when that has returned: nothing may throw after it. The same goes for #addBatch().
  #publish(): void {
    const index = this.#native.publish(this.#index, this.#count)
    const batch = this.#batches[index]
    this.#index = index
    this.#published++
    if (index < 0 && this.#batches.length >= MAX_COMMAND_BATCHES) this.behind()
    this.#used = 0
    if (batch === undefined) {
      this.#count = RECORDS
    } else {
      this.#records = batch.records
      this.#arena = batch.arena
      this.#count = 0
    }
  }

  #addBatch(): void {
    const batch = {
      records: new Uint32Array(RECORDS * COMMAND_WORDS),
      arena: Buffer.allocUnsafeSlow(ARENA_BYTES),
    }
    const index = this.#native.addCommandBatch(batch.records, batch.arena)
    this.#batches[index] = batch
    this.#index = index
    this.#records = batch.records
    this.#arena = batch.arena
    this.#count = 0
    this.#used = 0
  }
}

/** True if the bytes may be pinned for long. All of their buffer is pinned, which for a slice of a slab is far more. */
export function canKeep(bytes: Uint8Array): boolean {
  return canPin(bytes) && bytes.buffer.byteLength <= bytes.length * 2
}

/**
 * True if the bytes are sent from where they lie. Memory that may shrink, or be filled again, is copied. WebAssembly's
 * memory only grows, and doesn't move: V8 reserves the addresses for its max size.
 */
export function canPin(bytes: Uint8Array): boolean {
  if (bytes.length < PIN_BYTES) return false
  const buffer = bytes.buffer as ArrayBuffer & { resizable?: boolean }
  return buffer.resizable !== true && !readAgain.has(buffer)
}

/**
 * Makes the commands of a new thread. The thread ends if there is no memory for them, because no other code has it yet.
 */
export function commandsOf(native: NativeIoThread, behind: () => void): CommandWriter {
  try {
    return new CommandWriter(native, behind)
  } catch (error) {
    native.close()
    throw error
  }
}
