/**
 * A connection's identity: a safe integer, unique in its reactor for as long as anyone may remember it (a slot's
 * generation comes round after 8,388,607 connections in the same slot).
 */
export type ConnectionId = number & { readonly __connectionId: unique symbol }

/** @internal */
export function connectionId(thread: number, slot: number, generation: number): ConnectionId {
  return (generation * 2 ** 30 + thread * 2 ** 24 + slot) as ConnectionId
}
