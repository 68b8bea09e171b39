import { runClosed } from '../base/close-hooks.js'
import { needStack } from '../base/stack.js'
import { type Connection, type ConnectionContext, makeConnection } from '../connection/connection.js'
import * as delivery from '../connection/delivery.js'
import { destroyOutOfMemory } from '../connection/out-of-memory.js'
import { type CommandWriter, commandsOf } from '../io/command-writer.js'
import { makeEventMemory, makeSlab, slice } from '../io/event-memory.js'
import type { IoPort, Place } from '../io/io-port.js'
import { reportException, startIoThread } from '../native/binding.js'
import type { AdoptSpec, EventMemory, Failure, Full, NativeIoThread } from '../native/binding-types.js'
import * as layout from '../native/layout.js'
import { closeError } from '../native/own-errors.js'
import { type ContextEntry, Contexts } from './contexts.js'
import { enter } from './initial-data.js'
import type { IoThreadOwner } from './io-thread-owner.js'
import { IoThreadRequests } from './io-thread-requests.js'
import { Memberships } from './memberships.js'
import { Watches } from './watch.js'

const SLAB_RETRY_MS = 100

type EventName = Exclude<Extract<keyof typeof layout, `EVENT_${string}`>, 'EVENT_WORDS' | 'EVENT_RECORDS'>
/** The number of an event: a switch without a case for each doesn't compile. */
type EventNumber = (typeof layout)[EventName]

/** A socket that is being adopted: the data of its connection, and the callback for it. */
interface Adoption {
  readonly data: unknown
  readonly resolve: (conn: Connection<unknown>) => void
}

/**
 * The JS side of one I/O thread: its table of connections, its commands, and the delivery of its events.
 *
 * A connection is a slot and a generation. The table knows both for all of them, in typed arrays; an object is made
 * when a handler, or the reactor's user, needs one.
 */
export class IoThread extends IoThreadRequests implements IoPort {
  readonly commands: CommandWriter
  readonly native: NativeIoThread
  readonly watches: Watches
  readonly contexts: Contexts
  /** The number of connections that are open here. */
  size = 0
  /** Changes when a connection opens, closes or moves. */
  population = 0
  /** Paused connections that have closed, and have not been given their close and the events before it. */
  readonly closedUnreported = new Set<Connection<unknown>>()

  readonly owner: IoThreadOwner
  readonly #batches: EventMemory[]
  readonly #flushed: Uint32Array
  readonly #stats: Float64Array
  /** Three tables by slot: the generation, 0 for none; the context's number; the object, if there is one. */
  readonly #generations: Uint32Array
  readonly #contextOf: Uint32Array
  readonly #objects: (Connection<unknown> | undefined)[] = []
  #memberships: Memberships | undefined
  /** The next record of the batch that is being delivered. */
  #at = 0
  readonly #goOn = () => this.native.goOn()
  /** Adopted sockets whose `open` has not been delivered, by slot. */
  readonly #adoptions = new Map<number, Adoption>()
  /** Connections that move to another thread, with the callback for when they have left; by slot. */
  readonly #movingOut = new Map<number, (errno: number, syscall: number) => void>()
  #files = 0

  /** The thread's name, as `ps -L` shows it. */
  readonly name: string
  /** The CPU that it is pinned to; -1 if it isn't. */
  readonly cpu: number

  constructor(
    readonly index: number,
    owner: IoThreadOwner,
  ) {
    super()
    this.owner = owner
    this.contexts = new Contexts(owner)
    this.cpu = owner.cpus[index] as number
    // The system takes no longer name. (pthread_setname_np(3))
    this.name = `${owner.threadNames}${index}`.slice(0, 15)
    this.#flushed = new Uint32Array(owner.maxConnections)
    this.#generations = new Uint32Array(owner.maxConnections)
    this.#contextOf = new Uint32Array(owner.maxConnections)
    this.#stats = new Float64Array(layout.STAT_NAMES.length)
    this.#batches = makeEventMemory()
    this.native = startIoThread({
      name: this.name,
      cpu: this.cpu,
      maxConnections: owner.maxConnections,
      connections: owner.connectionCount,
      sharesQuota: owner.cpus.length > 1,
      level: owner.level,
      ownFileTable: owner.ownFileTable,
      flushed: this.#flushed,
      stats: this.#stats,
      eventBatches: this.#batches,
      deliver: (batch, count, wantsSlab, frames) => this.#deliver(batch, count, wantsSlab, frames),
      flush: () => this.commands.flush(),
    })
    this.commands = commandsOf(this.native, () => owner.inFlight.behind(this.fence))
    this.watches = new Watches(this.native, owner)
  }

  /** The number of its connections, including those in flight to it, as far as JavaScript knows. */
  get load(): number {
    return this.size + this.requests.count
  }

  /**
   * Returns the bytes of the connection in this slot that have gone to the kernel, modulo 2^32, as a signed integer.
   */
  flushedOf(slot: number): number {
    return (this.#flushed[slot] as number) | 0
  }

  /** True if this connection has not closed yet, or its close is being delivered right now. */
  holds(slot: number, generation: number): boolean {
    return this.#generations[slot] === generation
  }

  /** Returns the connection, if it is open. */
  get(slot: number, generation: number): Connection<unknown> | undefined {
    return generation !== 0 && this.holds(slot, generation) ? this.#connection(slot) : undefined
  }

  /** Iterates over slots and generations of the open connections. */
  *open(): IterableIterator<[slot: number, generation: number]> {
    for (let slot = 0; slot < this.#objects.length; slot++) {
      const generation = this.#generations[slot] as number
      if (generation !== 0) yield [slot, generation]
    }
  }

  /** Removes a connection from `closedUnreported`, when its close has been delivered. */
  forgetClosed(conn: Connection<unknown>): void {
    this.closedUnreported.delete(conn)
    this.owner.unref()
    runClosed(conn)
    this.owner.connectionClosed()
  }

  /** Ends the connection as a shutdown does. */
  shutdownConnection(slot: number): void {
    delivery.shutdown(this.#connection(slot))
  }

  /** Takes a connection from another thread, into a slot that was reserved for it. Returns its context here. */
  moveIn(conn: Connection<unknown>, slot: number, generation: number, from: Place): ConnectionContext {
    const left = ioThreadOf(from)
    const index = left.#contextOf[from.slot] as number
    const was = left.contexts.get(index) as ContextEntry
    const { context } = this.contexts.moveIn(index, { ...was.context, io: this })
    this.owner.moved.moved(
      conn,
      conn.id,
      { thread: left.index, slot: from.slot, generation: from.generation },
      { thread: this.index, slot, generation },
    )
    this.#generations[slot] = generation
    this.#contextOf[slot] = index
    this.#objects[slot] = conn
    this.size++
    this.population++
    this.owner.ref()
    for (const members of left.#memberships?.of(from.slot) ?? []) {
      this.memberships.join(members.on(this.index), slot, generation, context.maxWriteQueue)
    }
    return context
  }

  /**
   * Hands a connection to another thread. Remaining events of this thread are delivered to its object, and then `left`
   * is called.
   */
  moveOut(slot: number, left: (errno: number, syscall: number) => void): void {
    const index = this.#contextOf[slot] as number
    this.#movingOut.set(slot, left)
    this.#memberships?.leaveAll(slot)
    this.#generations[slot] = 0
    this.size--
    this.population++
    this.contexts.closed(index, this.contexts.get(index) as ContextEntry)
    this.owner.unref()
  }

  /** True if both are threads of one reactor. */
  isOfSameReactor(other: IoThread): boolean {
    return this.owner === other.owner
  }

  /** Returns the number of connections of this listener, and not of another one that got the same number later. */
  connectionsOf(index: number, listener: unknown): number {
    const entry = this.contexts.get(index)
    return entry !== undefined && entry.context.listener === listener ? entry.connections : 0
  }

  /** Returns a number by which to abort a `sendFile()`: no other in progress has it. */
  nextFileId(): number {
    this.#files = (this.#files + 1) >>> 0
    return this.#files
  }

  /** The memberships of its connections in groups. */
  get memberships(): Memberships {
    this.#memberships ??= new Memberships(this.owner.maxConnections)
    return this.#memberships
  }

  /** Returns the limit of the open connection in this slot. */
  maxWriteQueueOf(slot: number): number {
    return (this.contexts.get(this.#contextOf[slot] as number) as ContextEntry).context.maxWriteQueue
  }

  /**
   * Takes a socket over. Connections with the same handlers and settings share a context, as those of a listener do:
   * then each costs no more than an accepted connection. Resolves before its events.
   */
  adopt(spec: AdoptSpec, context: ConnectionContext, data: unknown): Promise<Connection<unknown> | Failure | Full> {
    const index = spec.connection.context
    needStack()
    const entry = this.contexts.join(index, context)
    return new Promise((resolve) => {
      try {
        this.ask<number | Failure | Full>(
          (batch, callback) => this.native.adopt(batch, callback, spec),
          (reply) => {
            if (typeof reply === 'number') {
              this.#adoptions.set(reply, { data, resolve })
            } else {
              this.contexts.leave(index, entry)
              resolve(reply)
            }
          },
        )
      } catch (error) {
        this.contexts.leave(index, entry)
        throw error
      }
    })
  }

  counters(): Record<(typeof layout.STAT_NAMES)[number], number> {
    const entries = layout.STAT_NAMES.map((name, index) => [name, this.#stats[index] as number] as const)
    return Object.fromEntries(entries) as Record<(typeof layout.STAT_NAMES)[number], number>
  }

  /** Stops the thread; its descriptors are closed when this returns. */
  close(): void {
    this.native.close()
  }

  /** Delivers a batch; returns false if a part of it must wait. */
  #deliver(batch: number, count: number, wantsSlab: boolean, frames: EventMemory['frames']): boolean {
    this.commands.holdForFlush()
    const { inFlight } = this.owner
    const memory = this.#batches[batch] as EventMemory
    if (frames !== undefined) memory.frames = frames
    const end = count * layout.EVENT_WORDS
    while (this.#at < end && !inFlight.full) {
      try {
        // The context is that of the reactor's creator: not all versions of Node restore its AsyncLocalStorage in an
        // addon's own.
        this.scope.runInAsyncScope(this.#events, this, memory, end)
      } catch (error) {
        // A handler threw: the rest of the batch is still delivered.
        reportException(error)
      }
    }
    if (this.#at < end) {
      inFlight.suspend(this.#goOn)
      return false
    }
    this.#at = 0
    memory.frames = undefined
    if (wantsSlab) this.#renewSlab(batch, memory, reportException)
    return true
  }

  /**
   * Gives the batch a new slab. Without memory for one, the batch stays here once it is full, and reading stops; it is
   * retried later.
   */
  #renewSlab(batch: number, memory: EventMemory, report: (error: unknown) => void): void {
    try {
      const slab = makeSlab()
      // The batch may be with the I/O thread again, because it had room left.
      if (this.native.setOwnedSlab(batch, slab)) memory.owned = slab
    } catch (error) {
      report(error)
      setTimeout(() => this.#renewSlab(batch, memory, () => {}), SLAB_RETRY_MS).unref()
    }
  }

  /** Delivers events up to the end of the batch, or until too much is in flight, or a handler throws. */
  #events(memory: EventMemory, end: number): void {
    while (this.#at < end && !this.owner.inFlight.full) {
      this.#at += layout.EVENT_WORDS
      this.#event(memory, this.#at - layout.EVENT_WORDS)
    }
  }

  #event(memory: EventMemory, at: number): void {
    const { records } = memory
    const head = records[at] as number
    const slot = records[at + 1] as number
    const event = (head & 0xff) as EventNumber
    switch (event) {
      case layout.EVENT_DATA: {
        const offset = records[at + 2] as number
        const length = records[at + 3] as number
        if (head >>> 8 === layout.READ_OWNED) {
          delivery.data(this.#connection(slot), slice(memory.owned, offset, length), false)
        } else if (head >>> 8 === layout.OWN_MEMORY) {
          const frame = memory.frames?.[offset]
          if (frame === undefined) destroyOutOfMemory(this.#connection(slot))
          else delivery.data(this.#connection(slot), frame, false)
        } else {
          this.#borrowedData(slot, slice(memory.borrowed, offset, length))
        }
        return
      }
      case layout.EVENT_OPEN:
        return this.#open(slot, records[at + 2] as number, head >>> 8)
      case layout.EVENT_CLOSE:
        return this.#close(slot, records[at + 2] as number, head >>> 8)
      case layout.EVENT_END:
        return delivery.end(this.#connection(slot))
      case layout.EVENT_DRAIN:
        return delivery.drain(this.#connection(slot))
      case layout.EVENT_TIMEOUT:
        return delivery.timeout(this.#connection(slot), head >>> 8, records[at + 2] === 1)
      case layout.EVENT_FRAMING:
        return delivery.framing(this.#connection(slot), head >>> 8)
      case layout.EVENT_WATCH:
        return this.watches.tell(slot, head >>> 8)
      case layout.EVENT_SATURATED: {
        const entry = this.contexts.get(head >>> 8)
        if (entry !== undefined) this.owner.saturated(entry.context, records[at + 2] as number)
        return
      }
      default:
        event satisfies never
    }
  }

  #borrowedData(slot: number, chunk: Buffer): void {
    try {
      delivery.data(this.#connection(slot), chunk, true)
    } finally {
      if (this.owner.poisonBorrowed) chunk.fill(0xdd)
    }
  }

  #open(slot: number, generation: number, context: number): void {
    this.#generations[slot] = generation
    this.#contextOf[slot] = context
    this.#objects[slot] = undefined
    this.size++
    this.population++
    this.owner.ref()
    const entry = this.contexts.opened(context)
    if (entry.onOpen !== undefined) {
      entry.onOpen(this.#connection(slot))
      entry.onOpen = undefined
    }
    if (this.#adoptions.size > 0) this.#finishAdoption(slot)
    if (entry.context.handlers.open !== undefined) delivery.open(this.#connection(slot))
  }

  #finishAdoption(slot: number): void {
    const adoption = this.#adoptions.get(slot)
    if (adoption === undefined) return
    this.#adoptions.delete(slot)
    const conn = this.#connection(slot)
    conn.data = adoption.data
    adoption.resolve(conn)
  }

  #close(slot: number, errno: number, syscall: number): void {
    const left = this.#movingOut.size === 0 ? undefined : this.#movingOut.get(slot)
    if (left !== undefined) {
      this.#movingOut.delete(slot)
      this.#objects[slot] = undefined
      left(errno, syscall)
      return
    }
    const context = this.#contextOf[slot] as number
    const entry = this.contexts.get(context) as ContextEntry
    this.#memberships?.leaveAll(slot)
    try {
      if (this.#objects[slot] !== undefined || entry.context.handlers.close !== undefined) {
        const error = errno === 0 ? undefined : closeError(errno, layout.SYSCALLS[syscall] ?? 'read')
        delivery.close(this.#connection(slot), error)
      }
    } finally {
      const conn = this.#objects[slot]
      this.#generations[slot] = 0
      this.#objects[slot] = undefined
      const unreported = conn !== undefined && this.closedUnreported.has(conn)
      if (conn !== undefined && !unreported) runClosed(conn)
      this.size--
      this.population++
      this.owner.moved.closed(this.index, slot)
      this.contexts.closed(context, entry)
      // Buffered events keep the process alive as an open connection does: they have not been delivered.
      if (!unreported) this.owner.unref()
      this.owner.connectionClosed()
    }
  }

  /** Returns the connection in an open slot; its object is made now, if there was none. */
  #connection(slot: number): Connection<unknown> {
    return this.#objects[slot] ?? this.#makeConnection(slot)
  }

  #makeConnection(slot: number): Connection<unknown> {
    const entry = this.contexts.get(this.#contextOf[slot] as number) as ContextEntry
    const conn = makeConnection(slot, this.#generations[slot] as number, entry.context)
    return enter(this.#objects, slot, conn, entry.context)
  }
}

/** Returns the I/O thread of a connection: no other class implements `IoPort`. */
export function ioThreadOf(place: Place): IoThread {
  return place.io as IoThread
}
