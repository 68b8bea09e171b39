import { type ConnectionId, connectionId, MAX_SLOTS, type SlotPlace } from '../base/connection-id.js'

const ids = new WeakMap<object, ConnectionId>()
/** True once any connection has moved. Usually none has, and no look-up is needed. */
let any = false

/** @internal The id of a connection that has moved: that of the place where it opened. */
export function movedId(conn: object): ConnectionId | undefined {
  return any ? ids.get(conn) : undefined
}

/**
 * @internal The ids of a reactor's connections that have moved between its I/O threads: they keep the id that they
 * opened with.
 */
export class MovedIds {
  readonly #places = new Map<number, SlotPlace>()
  readonly #ids = new Map<number, ConnectionId>()

  moved(conn: object, id: ConnectionId, from: SlotPlace, to: SlotPlace): void {
    any = true
    ids.set(conn, id)
    this.#ids.delete(keyOf(from.thread, from.slot))
    this.#ids.set(keyOf(to.thread, to.slot), id)
    this.#places.set(id, to)
  }

  closed(thread: number, slot: number): void {
    if (this.#ids.size === 0) return
    const id = this.#ids.get(keyOf(thread, slot))
    if (id === undefined) return
    this.#ids.delete(keyOf(thread, slot))
    this.#places.delete(id)
  }

  /** Returns the id of the connection in that place. */
  idAt(thread: number, slot: number, generation: number): ConnectionId {
    const id = this.#ids.size === 0 ? undefined : this.#ids.get(keyOf(thread, slot))
    return id ?? connectionId(thread, slot, generation)
  }

  placeOf(id: number): SlotPlace | undefined {
    return this.#places.get(id)
  }
}

function keyOf(thread: number, slot: number): number {
  return thread * MAX_SLOTS + slot
}
