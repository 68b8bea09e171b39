/**
 * A connection's identity: a safe integer, unique in its reactor for as long as any code may remember it (a slot's
 * generation repeats after 8,388,607 connections in the same slot).
 */
export type ConnectionId = number & { readonly __connectionId: unique symbol }

/** @internal The max number of an I/O thread's slots for which an id has room. */
export const MAX_SLOTS = 2 ** 24
/** @internal The max number of a reactor's I/O threads for which an id has room. */
export const MAX_THREADS = 2 ** 6

/** @internal Where a connection is: the number of its I/O thread, and its slot there. */
export interface SlotPlace {
  readonly thread: number
  readonly slot: number
  readonly generation: number
}

/** @internal */
export function connectionId(thread: number, slot: number, generation: number): ConnectionId {
  return ((generation * MAX_THREADS + thread) * MAX_SLOTS + slot) as ConnectionId
}

/** @internal Returns the place of an id; `undefined` for a number that is no id. */
export function placeOf(id: number): SlotPlace | undefined {
  if (!Number.isSafeInteger(id) || id < MAX_THREADS * MAX_SLOTS) return undefined
  const thread = Math.floor(id / MAX_SLOTS)
  return { thread: thread % MAX_THREADS, slot: id % MAX_SLOTS, generation: Math.floor(thread / MAX_THREADS) }
}
