import { inspect } from 'node:util'
import type { ConnectionId } from '../base/connection-id.js'
import { invalidType, invalidValue, notMade } from '../base/errors.js'
import { checkKeys, checkObject, keysOf } from '../base/validate.js'
import { Connection } from '../connection/connection.js'
import type { IoThread } from '../thread/io-thread.js'
import { Members } from '../thread/memberships.js'
import { type BroadcastResult, Broadcasts, bytesOf, refused } from './broadcast.js'
import type { ConnectionMap } from './connection-map.js'

/** Options of `Group.broadcast()`. */
export interface BroadcastOptions {
  /** A connection that is left out, such as the one that the message came from. It need not be a member. */
  readonly except?: Connection | undefined
  /** The encoding of a string. Default: `'utf8'`. */
  readonly encoding?: BufferEncoding | undefined
}

const broadcastOptionKeys = keysOf<BroadcastOptions>({ except: true, encoding: true })

/** @internal Makes a group, for the reactor. */
export let makeGroup: <T>(connections: ConnectionMap, threads: readonly IoThread[]) => Group<T>

/**
 * Connections that are sent the same bytes: a chat room, the subscribers of a topic. Made by `reactor.createGroup()`.
 *
 * A connection may be in any number of groups, and leaves them automatically when it closes: in its `close` handler it
 * is in none any more. Changes and broadcasts take effect in the order of the calls. A group costs 32 to 64 bytes for
 * each member, and nothing when it is empty; one without references and members is garbage like any object.
 *
 * @example
 * const room = reactor.createGroup()
 * await reactor.listen({ port: 7000 }, {
 *   open(conn) { room.add(conn) },
 *   data(conn, chunk) { void room.broadcast(chunk, { except: conn }) },
 * })
 */
export class Group<T = unknown> implements Iterable<Connection<T>> {
  /** The value that `JSON.stringify()` shows. An own property and a function, so that `structuredClone()` throws. */
  readonly toJSON = () => ({ size: this.size })
  readonly #connections: ConnectionMap
  readonly #threads: readonly IoThread[]
  /** The members by thread; made when the thread's first member comes. */
  readonly #members: (Members | undefined)[] = []
  readonly #broadcasts = new Broadcasts()

  private constructor(connections: ConnectionMap, threads: readonly IoThread[]) {
    if (threads === undefined) throw notMade('Group', 'reactor.createGroup()')
    this.#connections = connections
    this.#threads = threads
  }

  static {
    makeGroup = <T>(connections: ConnectionMap, threads: readonly IoThread[]) => new Group<T>(connections, threads)
  }

  /** The number of members. */
  get size(): number {
    return this.#members.reduce((size, members) => size + (members?.size ?? 0), 0)
  }

  /**
   * Makes the connection a member. Returns `false` if it has closed or been destroyed, otherwise `true`, also if it was
   * one. Throws a TypeError: ERR_C1M_INVALID_ARG_TYPE if that isn't a connection, ERR_C1M_INVALID_ARG_VALUE if it
   * belongs to another reactor.
   */
  add(conn: Connection<T>): boolean {
    const place = this.#locate(conn)
    if (place === undefined || conn.closed) return false
    const { thread, slot, generation } = place
    thread.memberships.join(this.#membersOn(thread.index), slot, generation, thread.maxWriteQueueOf(slot))
    return true
  }

  /** Removes the connection; returns `false` if it was not a member. Throws a TypeError as `add()` does. */
  delete(conn: Connection<T>): boolean {
    const place = this.#locate(conn)
    const members = this.#membersAt(place)
    return members !== undefined && place?.thread.memberships.leave(members, place.slot) === true
  }

  /** True if the connection is a member. Throws a TypeError as `add()` does. */
  has(conn: Connection<T>): boolean {
    const place = this.#locate(conn)
    const members = this.#membersAt(place)
    return members !== undefined && place?.thread.memberships.has(members, place.slot) === true
  }

  /** Removes all members. Earlier broadcasts still reach them. */
  clear(): void {
    for (const [index, members] of this.#members.entries()) {
      const thread = this.#threads[index]
      while (members !== undefined && members.size > 0) {
        thread?.memberships.leave(members, members.slotAt(members.size - 1))
      }
    }
  }

  /**
   * Sends the same bytes to all members, from one copy of them, on the I/O thread. It is in order with `write()` and
   * `end()`: each member gets it after what was written to it before this call, and before what is written later.
   * Sockets are served in several turns, so that other connections don't have to wait: 15,000 members took 0.17 s in
   * the benchmark.
   *
   * A member whose socket has no room has the bytes queued. If that brings its queue over its `maxWriteQueue`, counting
   * all that waits there, it is destroyed with ERR_C1M_WRITE_QUEUE_FULL. Bytes queued by broadcasts are not in its
   * `writableLength`, and don't make `write()` return `false`.
   *
   * Broadcasts to the same members, one right after the other, are sent as one, up to 16 KiB: they have one promise,
   * with their common result.
   *
   * Resolves when each member's socket has been served; you need not wait. Rejects, before anything happens, with a
   * TypeError for bad arguments (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE), and with
   * ERR_C1M_TOO_MUCH_IN_FLIGHT when 262,144 requests, or 512 MiB, wait for the reactor's I/O threads. Rejects with
   * ERR_MEMORY_ALLOCATION_FAILED for lack of memory; members on some of the I/O threads may get the bytes nevertheless.
   * (send(2), sendmsg(2))
   *
   * @param chunk A string, or bytes. Bytes of 16 KiB and more are sent from where they lie: don't change or transfer
   *   them while members have them in their queues. Fewer are copied immediately.
   * @example
   * const { reached, queued, cut } = await room.broadcast('the server restarts in a minute\n')
   */
  broadcast(chunk: string | Uint8Array, options?: BroadcastOptions): Promise<BroadcastResult> {
    // This function isn't async, because joined broadcasts have one promise.
    try {
      return this.#broadcast(chunk, options)
    } catch (error) {
      return refused(error)
    }
  }

  #broadcast(chunk: string | Uint8Array, options?: BroadcastOptions): Promise<BroadcastResult> {
    const given = checkObject('options', options)
    checkKeys('options', given, broadcastOptionKeys)
    const { except, encoding } = given
    const bytes = bytesOf(chunk, encoding)
    const without = except === undefined ? undefined : this.#locate(except, 'options.except')
    const version = this.#members.reduce((sum, members) => sum + (members?.version ?? 0), 0)
    return this.#broadcasts.send(bytes, version, without, () =>
      this.#members.flatMap((members, index) => {
        const thread = this.#threads[index]
        return members === undefined || thread === undefined
          ? []
          : [{ thread, targets: members.targets, count: members.size }]
      }),
    )
  }

  /**
   * Iterates over the ids of the members; makes no objects. A connection that joins or leaves meanwhile may or may not
   * be among them.
   */
  *ids(): IterableIterator<ConnectionId> {
    for (const [index, members] of this.#members.entries()) {
      if (members === undefined) continue
      // The iteration begins at the end: the place of a member that leaves is taken by the last one, which has been
      // visited.
      for (let position = members.size - 1; position >= 0; position--) {
        if (position < members.size) {
          yield this.#connections.idAt(index, members.slotAt(position), members.generationAt(position))
        }
      }
    }
  }

  /** Iterates over the members. A connection that joins or leaves meanwhile may or may not be among them. */
  *[Symbol.iterator](): IterableIterator<Connection<T>> {
    for (const id of this.ids()) {
      const conn = this.#connections.get<T>(id)
      if (conn !== undefined) yield conn
    }
  }

  /** The text that `console.log` shows: without the members, of which there may be many. */
  [inspect.custom](): string {
    return `Group(${this.size})`
  }

  #membersOn(thread: number): Members {
    this.#members[thread] ??= new Members((other) => this.#membersOn(other))
    return this.#members[thread] as Members
  }

  /** Returns the members on the thread of this place. */
  #membersAt(place: { readonly thread: IoThread } | undefined): Members | undefined {
    return place && this.#members[place.thread.index]
  }

  /** Returns the connection's place; `undefined` if it has closed. */
  #locate(conn: Connection, name = 'conn') {
    if (!(conn instanceof Connection)) throw invalidType(name, 'a Connection', conn)
    const place = this.#connections.locate(conn.id)
    if (place !== undefined && place.thread.get(place.slot, place.generation) === conn) return place
    if (!conn.closed) throw invalidValue(`"${name}" is another reactor's`)
    return undefined
  }
}
