import { needStack } from '../base/stack.js'
import { TARGET_WORDS } from '../native/layout.js'

/** The number of members for which a new group has room; the room grows by doubling. */
const MIN_ROOM = 8
/** The number of a connection's groups that are searched one by one; a connection in more groups has an index. */
const MAX_LISTED = 32
/** The value in place of a connection's first node if it has an index. No node has this number. */
const INDEXED = 2 ** 32 - 1
const NO_TARGETS = new Uint32Array(0)

/**
 * The members of a group on one I/O thread, side by side, as the I/O thread takes them: slot, generation,
 * maxWriteQueue, and the number of the membership (`BroadcastTarget` in `native/features/groups/broadcast_request.h`).
 *
 * ```text
 *   targets: | slot generation limit node | slot generation limit node | … room
 *                                     └─▶ Memberships knows where it is
 * ```
 */
export class Members {
  targets = NO_TARGETS
  size = 0
  /** Changes when a member is added or removed. */
  version = 0

  /** @param on Returns the same group's members on the I/O thread of this number. */
  constructor(readonly on: (thread: number) => Members) {}

  slotAt(position: number): number {
    return this.targets[position * TARGET_WORDS] as number
  }

  generationAt(position: number): number {
    return this.targets[position * TARGET_WORDS + 1] as number
  }

  /** @internal */
  append(slot: number, generation: number, maxWriteQueue: number, node: number): number {
    this.version++
    const at = this.size * TARGET_WORDS
    if (at === this.targets.length) this.#resize(Math.max(MIN_ROOM, this.size * 2))
    const { targets } = this
    targets[at] = slot
    targets[at + 1] = generation
    targets[at + 2] = maxWriteQueue
    targets[at + 3] = node
    return this.size++
  }

  /** @internal Moves the last member into the place of the one that is removed; returns its node. */
  removeAt(position: number): number {
    const left = this.size - 1
    // The room shrinks when at most a quarter of it is used.
    if (left > 0 && left * TARGET_WORDS * 4 <= this.targets.length) this.#resize(Math.max(MIN_ROOM, left * 2))
    const last = left * TARGET_WORDS
    const moved = this.targets[last + 3] as number
    this.targets.copyWithin(position * TARGET_WORDS, last, last + TARGET_WORDS)
    // Nothing throws from here on.
    if (left === 0) this.targets = NO_TARGETS
    this.size = left
    this.version++
    return moved
  }

  #resize(room: number): void {
    if (room * TARGET_WORDS === this.targets.length) return
    const targets = new Uint32Array(room * TARGET_WORDS)
    targets.set(this.targets.subarray(0, this.size * TARGET_WORDS))
    this.targets = targets
  }
}

/**
 * The groups of one I/O thread's connections.
 *
 * ```text
 *   heads[slot] ─▶ node: members, position ─▶ node ─▶ … 0      up to MAX_LISTED of them
 *              └─▶ INDEXED: indexes.get(slot).get(members) ─▶ node: members, position
 * ```
 *
 * A call may throw, for lack of stack or memory. So whatever may throw comes before the changes, which are plain
 * stores.
 *
 * Only members cost memory: 16 bytes here and 16 in the group for each membership, twice that with the room to grow;
 * some 40 more for each membership of a connection that is in many groups. Joining and leaving are O(1), because a list
 * is short; leaving all groups, as a closed connection does, is O(1) for each of them.
 */
export class Memberships {
  /** The first nodes by slot; address space only, until a page of it is written. */
  readonly #heads: Uint32Array
  /** The following nodes, by node, from 1. */
  #next = new Uint32Array(MIN_ROOM)
  #position = new Uint32Array(MIN_ROOM)
  readonly #members: (Members | undefined)[] = [undefined]
  #free = 0
  readonly #indexes = new Map<number, Map<Members, number>>()

  constructor(slots: number) {
    this.#heads = new Uint32Array(slots)
  }

  has(members: Members, slot: number): boolean {
    return this.#find(members, slot) !== 0
  }

  /** Adds a member; returns false if it is one already. */
  join(members: Members, slot: number, generation: number, maxWriteQueue: number): boolean {
    if (this.#find(members, slot) !== 0) return false
    const index = this.#indexOf(slot)
    if (index !== undefined) needStack()
    const node = this.#take()
    this.#position[node] = members.append(slot, generation, maxWriteQueue, node)
    this.#members[node] = members
    if (index !== undefined) {
      index.set(members, node)
      return true
    }
    this.#next[node] = this.#heads[slot] as number
    this.#heads[slot] = node
    return true
  }

  /** Removes a member; returns false if it wasn't one. */
  leave(members: Members, slot: number): boolean {
    const index = this.#heads[slot] === INDEXED ? this.#indexes.get(slot) : undefined
    if (index !== undefined) {
      const node = index.get(members)
      if (node === undefined) return false
      needStack()
      index.delete(members)
      if (index.size === 0) this.#dropIndex(slot)
      this.#remove(node)
      return true
    }
    let before = 0
    for (let node = this.#heads[slot] as number; node !== 0; node = this.#next[node] as number) {
      if (this.#members[node] === members) {
        const next = this.#next[node] as number
        this.#remove(node)
        if (before === 0) {
          this.#heads[slot] = next
        } else {
          this.#next[before] = next
        }
        return true
      }
      before = node
    }
    return false
  }

  /** Returns the groups of a connection. */
  of(slot: number): Members[] {
    const index = this.#heads[slot] === INDEXED ? this.#indexes.get(slot) : undefined
    if (index !== undefined) return [...index.keys()]
    const all: Members[] = []
    for (let node = this.#heads[slot] as number; node !== 0; node = this.#next[node] as number) {
      all.push(this.#members[node] as Members)
    }
    return all
  }

  /** Removes a connection from all groups, when it has closed or moved to another thread. */
  leaveAll(slot: number): void {
    const index = this.#heads[slot] === INDEXED ? this.#indexes.get(slot) : undefined
    if (index !== undefined) {
      this.#dropIndex(slot)
      for (const node of index.values()) this.#remove(node)
      return
    }
    let node = this.#heads[slot] as number
    this.#heads[slot] = 0
    while (node !== 0) {
      const next = this.#next[node] as number
      this.#remove(node)
      node = next
    }
  }

  #find(members: Members, slot: number): number {
    let node = this.#heads[slot] as number
    if (node === INDEXED) return this.#indexes.get(slot)?.get(members) ?? 0
    while (node !== 0 && this.#members[node] !== members) node = this.#next[node] as number
    return node
  }

  /**
   * Returns the index of a connection that is in many groups; it is made when the connection joins one more than are
   * listed.
   */
  #indexOf(slot: number): Map<Members, number> | undefined {
    const head = this.#heads[slot] as number
    if (head === INDEXED) return this.#indexes.get(slot)
    let listed = 0
    for (let node = head; node !== 0; node = this.#next[node] as number) listed++
    if (listed < MAX_LISTED) return undefined
    const index = new Map<Members, number>()
    for (let node = head; node !== 0; node = this.#next[node] as number) index.set(this.#members[node] as Members, node)
    this.#indexes.set(slot, index)
    this.#heads[slot] = INDEXED
    return index
  }

  #dropIndex(slot: number): void {
    this.#indexes.delete(slot)
    this.#heads[slot] = 0
  }

  #remove(node: number): void {
    const members = this.#members[node] as Members
    const position = this.#position[node] as number
    // The last member may be the removed one: then this value is never read.
    this.#position[members.removeAt(position)] = position
    this.#members[node] = undefined
    this.#next[node] = this.#free
    this.#free = node
  }

  #take(): number {
    const node = this.#free
    if (node !== 0) {
      this.#free = this.#next[node] as number
      return node
    }
    const fresh = this.#members.length
    if (fresh === this.#next.length) this.#next = grown(this.#next)
    if (fresh === this.#position.length) this.#position = grown(this.#position)
    this.#members.push(undefined)
    return fresh
  }
}

function grown(from: Uint32Array): Uint32Array<ArrayBuffer> {
  const to = new Uint32Array(from.length * 2)
  to.set(from)
  return to
}
