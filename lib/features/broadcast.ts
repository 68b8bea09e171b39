import { C1mError } from '../base/errors.js'
import { checkChunk } from '../base/validate.js'
import { canKeep } from '../io/command-writer.js'
import type { Counted } from '../io/in-flight.js'
import { RECENT_LISTS, TARGET_WORDS } from '../native/layout.js'
import type { IoThread } from '../thread/io-thread.js'

/**
 * The result of a broadcast, when each of its targets has been served. Connections that had ended, closed or failed by
 * then are counted in none of the three.
 */
export interface BroadcastResult {
  /** The number of connections whose socket has taken all of it. */
  readonly reached: number
  /** The number of connections that have a part or all of it in their queue; it is sent when their socket has room. */
  readonly queued: number
  /**
   * The number of connections that were destroyed: with ERR_C1M_WRITE_QUEUE_FULL, because their queue would have
   * exceeded `maxWriteQueue`; or with ENOMEM.
   */
  readonly cut: number
}

/** @internal The targets of a broadcast on one I/O thread: `count` of them, as `Members` stores them. */
export interface Audience {
  readonly thread: IoThread
  readonly targets: Uint32Array
  readonly count: number
}

/** @internal Returns the bytes of a chunk. Throws as `Connection.write()` does. */
export function bytesOf(chunk: string | Uint8Array, encoding: BufferEncoding = 'utf8'): Uint8Array {
  checkChunk(chunk, encoding)
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
}

/** @internal Returns the promise of a `broadcast()` that throws inside. */
export function refused(error: unknown): Promise<never> {
  const result = Promise.reject(error)
  // A caller may ignore the result of a broadcast: a process must not end because its broadcasts have piled up.
  if (error instanceof C1mError && error.code === 'ERR_C1M_TOO_MUCH_IN_FLIGHT') result.catch(() => {})
  return result
}

/** @internal A slot that is left out of a broadcast. */
export interface Except {
  readonly thread: IoThread
  readonly slot: number
}

/**
 * The max size of joined broadcasts. It is also the max that is copied at all, so a member's queue grows by no more at
 * a time.
 */
const MAX_JOINT_BYTES = 16 * 1024

const recentLists = new WeakMap<IoThread, readonly object[]>()

/**
 * @internal The broadcasts to a group, or to all. Broadcasts to the same connections, one right after the other, are
 * joined: one request, one place in each queue, one result. So many small ones cost little more than their bytes.
 */
export class Broadcasts {
  #last: Joint | undefined
  #version = -1
  /** The identity of the current list of targets. */
  #list = {}

  /**
   * @param version Changes when the targets change.
   * @param audiences Returns the targets by thread; called when the broadcast can't be joined.
   */
  send(
    bytes: Uint8Array,
    version: number,
    except: Except | undefined,
    audiences: () => readonly Audience[],
  ): Promise<BroadcastResult> {
    const same = version === this.#version
    if (same && this.#last?.takes(bytes, except)) return this.#last.extend(bytes)
    const those = audiences().filter(({ count }) => count > 0)
    those[0]?.thread.checkInFlight()
    if (!same) this.#list = {}
    const joint = new Joint(those, bytes, except, this.#list)
    this.#last = joint
    this.#version = version
    return joint.result
  }
}

/** One broadcast, or several that are joined. */
class Joint {
  readonly result: Promise<BroadcastResult>
  readonly #parts: readonly Part[]
  readonly #except: Except | undefined
  readonly #sum = { reached: 0, queued: 0, cut: 0 }
  #resolve!: (result: BroadcastResult) => void
  #left: number
  #bytes: number

  /** @param list The same object for the same list of targets: a list that the addon remembers counts once. */
  constructor(audiences: readonly Audience[], bytes: Uint8Array, except: Except | undefined, list: object) {
    this.#except = except
    this.#bytes = bytes.length
    this.#left = audiences.length
    this.result = new Promise((resolve) => {
      this.#resolve = resolve
    })
    if (this.#left === 0) this.#resolve(this.#sum)
    this.#parts = audiences.map(
      (audience) =>
        new Part(audience, bytes, except?.thread === audience.thread ? except.slot : undefined, list, this.#add),
    )
  }

  takes(bytes: Uint8Array, except: Except | undefined): boolean {
    return (
      this.#bytes > 0 &&
      bytes.length > 0 &&
      this.#bytes + bytes.length <= MAX_JOINT_BYTES &&
      except?.thread === this.#except?.thread &&
      except?.slot === this.#except?.slot &&
      this.#parts.every((part) => part.isLast())
    )
  }

  extend(bytes: Uint8Array): Promise<BroadcastResult> {
    this.#bytes += bytes.length
    for (const part of this.#parts) part.extend(bytes)
    return this.result
  }

  /** Adds the result of a part. */
  readonly #add = ({ reached, queued, cut }: BroadcastResult): void => {
    this.#sum.reached += reached
    this.#sum.queued += queued
    this.#sum.cut += cut
    if (--this.#left === 0) this.#resolve(this.#sum)
  }
}

/** The part of a broadcast for one thread. */
class Part {
  readonly #thread: IoThread
  readonly #counted: Counted
  readonly #position: number

  constructor(
    { thread, targets, count }: Audience,
    bytes: Uint8Array,
    except: number | undefined,
    list: object,
    done: (result: BroadcastResult) => void,
  ) {
    this.#thread = thread
    this.#counted = thread.count<BroadcastResult>(
      (batch, callback) =>
        thread.native.broadcast(
          batch,
          (reached, queued, cut) => callback({ reached, queued, cut }),
          bytes,
          canKeep(bytes),
          targets,
          count,
          except,
        ),
      done,
      bytes.length + (isRemembered(thread, list) ? 0 : count * TARGET_WORDS * Uint32Array.BYTES_PER_ELEMENT),
    )
    this.#position = thread.commands.position
  }

  /** True if no later request has been made to the thread. */
  isLast(): boolean {
    return this.#thread.commands.position === this.#position
  }

  extend(bytes: Uint8Array): void {
    this.#thread.native.extendBroadcast(this.#thread.commands.batch, bytes)
    this.#counted.add(1, bytes.length)
  }
}

/** True if the addon has a copy of the list, as one of the last few of a thread. (native/binding/broadcast_answer.h) */
function isRemembered(thread: IoThread, list: object): boolean {
  const recent = recentLists.get(thread) ?? []
  if (recent.includes(list)) return true
  recentLists.set(thread, [...recent.slice(1 - RECENT_LISTS), list])
  return false
}

/** @internal Returns the open connections of a thread, or those that `filter` takes; without it no objects are made. */
export function audienceOf(thread: IoThread, filter?: (slot: number, generation: number) => boolean): Audience {
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
