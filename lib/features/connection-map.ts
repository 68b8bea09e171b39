import { inspect } from 'node:util'
import { type ConnectionId, placeOf } from '../base/connection-id.js'
import { invalidType, notMade } from '../base/errors.js'
import type { Connection } from '../connection/connection.js'
import type { MovedIds } from '../connection/moved-ids.js'
import type { IoThread } from '../thread/io-thread.js'
import { audienceOf, type BroadcastResult, Broadcasts, bytesOf, refused } from './broadcast.js'

/** @internal */
export let makeConnectionMap: (threads: readonly IoThread[], moved: MovedIds) => ConnectionMap

/**
 * The open connections of a reactor, by id: from before their `open` handler until after their `close` handler.
 *
 * Iterating makes an object for each connection that had none yet: with many idle ones, prefer `ids()`, and `get()`
 * only those that you need. A connection that opens or closes during an iteration may or may not be in it.
 *
 * @example
 * for (const [id, conn] of reactor.connections) conn.write('hello\n')
 */
export class ConnectionMap implements Iterable<[ConnectionId, Connection]> {
  /** The value that `JSON.stringify()` shows. An own property and a function, so that `structuredClone()` throws. */
  readonly toJSON = () => ({ size: this.size })
  readonly #threads: readonly IoThread[]
  readonly #moved: MovedIds
  readonly #broadcasts = new Broadcasts()

  private constructor(threads: readonly IoThread[], moved: MovedIds) {
    if (threads === undefined) throw notMade('ConnectionMap', 'a Reactor, as its connections')
    this.#threads = threads
    this.#moved = moved
  }

  static {
    makeConnectionMap = (threads, moved) => new ConnectionMap(threads, moved)
  }

  /** The number of open connections. */
  get size(): number {
    let size = 0
    for (const thread of this.#threads) size += thread.size
    return size
  }

  /**
   * Returns the connection, or `undefined` if it has closed, or the id is none of this reactor's; never throws. `T`
   * isn't checked: `get<Peer>(id)`.
   *
   * @example
   * const { id } = conn
   * setTimeout(() => reactor.connections.get(id)?.write('tick\n'), 10)
   */
  get<T = unknown>(id: ConnectionId | number): Connection<T> | undefined {
    const place = this.locate(id)
    return place?.thread.get(place.slot, place.generation) as Connection<T> | undefined
  }

  /** True if the connection is open. */
  has(id: ConnectionId | number): boolean {
    const place = this.locate(id)
    return place?.thread.holds(place.slot, place.generation) ?? false
  }

  /** Iterates over the ids of the open connections; makes no objects. */
  *ids(): IterableIterator<ConnectionId> {
    for (const thread of this.#threads) {
      for (const [slot, generation] of thread.open()) yield this.idAt(thread.index, slot, generation)
    }
  }

  /** Iterates over the open connections; `values<Peer>()` if all have the same type of data. */
  *values<T = unknown>(): IterableIterator<Connection<T>> {
    for (const id of this.ids()) {
      const conn = this.get<T>(id)
      if (conn !== undefined) yield conn
    }
  }

  /** Iterates over ids with their connections. */
  *entries(): IterableIterator<[ConnectionId, Connection]> {
    for (const conn of this.values()) yield [conn.id, conn]
  }

  [Symbol.iterator](): IterableIterator<[ConnectionId, Connection]> {
    return this.entries()
  }

  /** Calls `callback` for each open connection. */
  forEach(callback: (conn: Connection, id: ConnectionId, map: this) => void): void {
    for (const [id, conn] of this) callback(conn, id, this)
  }

  /** The text that `console.log` shows: without the connections, of which there may be a million. */
  [inspect.custom](): string {
    return `ConnectionMap(${this.size})`
  }

  /**
   * Sends the same bytes to all open connections, or to those that `filter` takes, as `Group.broadcast()` does to its
   * members: from one copy, on the I/O thread, in order with `write()`. Without a filter no objects are made; with one,
   * an object for each connection that had none. Use a group for connections that are often sent the same.
   *
   * Rejects, before anything happens, with a TypeError for bad arguments (ERR_C1M_INVALID_ARG_TYPE), and with what
   * `filter` throws.
   *
   * @param chunk A string, as UTF-8, or bytes. Bytes of 16 KiB and more are sent from where they lie: don't change or
   *   transfer them while connections have them in their queues.
   * @param filter Called synchronously, for each open connection.
   * @example
   * await reactor.connections.broadcast('going down\n', (conn) => conn.listener === admin)
   */
  broadcast<T = unknown>(
    chunk: string | Uint8Array,
    filter?: (conn: Connection<T>) => boolean,
  ): Promise<BroadcastResult> {
    // This function isn't async, because joined broadcasts have one promise.
    try {
      return this.#broadcast(chunk, filter)
    } catch (error) {
      return refused(error)
    }
  }

  #broadcast<T>(chunk: string | Uint8Array, filter?: (conn: Connection<T>) => boolean): Promise<BroadcastResult> {
    const bytes = bytesOf(chunk)
    if (filter !== undefined && typeof filter !== 'function') throw invalidType('filter', 'a function', filter)
    if (filter === undefined) {
      const version = this.#threads.reduce((sum, { population }) => sum + population, 0)
      return this.#broadcasts.send(bytes, version, undefined, () => this.#threads.map((thread) => audienceOf(thread)))
    }
    const audiences = this.#threads.map((thread) =>
      audienceOf(thread, (slot, generation) => filter(thread.get(slot, generation) as Connection<T>)),
    )
    return new Broadcasts().send(bytes, 0, undefined, () => audiences)
  }

  /** @internal Returns the id of the connection in that place. */
  idAt(thread: number, slot: number, generation: number): ConnectionId {
    return this.#moved.idAt(thread, slot, generation)
  }

  /** @internal */
  locate(id: number): { thread: IoThread; slot: number; generation: number } | undefined {
    const place = placeOf(id)
    if (place === undefined) return undefined
    const { slot, generation, thread: index } = this.#moved.placeOf(id) ?? place
    const thread = this.#threads[index]
    return thread === undefined ? undefined : { thread, slot, generation }
  }
}
