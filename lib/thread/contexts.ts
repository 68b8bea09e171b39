import type { Connection, ConnectionContext } from '../connection/connection.js'
import type { Listener } from '../listener.js'

/** @internal The connections that one call, such as `listen()`, has made. */
export interface ContextEntry {
  readonly context: ConnectionContext
  /** The number of connections that are open now. */
  connections: number
  /** The number of connections opened so far, modulo 2^32. */
  opened: number
  /** The final value of `opened`: known when the socket is closed, and at any time for adopted sockets. */
  accepted: number | undefined
  /** True if it takes no more connections, and all that it took have opened. */
  closed: boolean
  onClosed: (() => void) | undefined
  /** Called when an outgoing connection is open. */
  onOpen: ((conn: Connection<unknown>) => void) | undefined
}

interface ContextsOwner {
  ref(): void
  unref(): void
  /** Called when no further event of this context can come. */
  contextGone(index: number, context: ConnectionContext): void
}

/** @internal The contexts of one I/O thread, by number. */
export class Contexts {
  readonly #owner: ContextsOwner
  readonly #entries = new Map<number, ContextEntry>()

  constructor(owner: ContextsOwner) {
    this.#owner = owner
  }

  get(index: number): ContextEntry | undefined {
    return this.#entries.get(index)
  }

  add(index: number, context: ConnectionContext): ContextEntry {
    const entry = fresh(context)
    this.#entries.set(index, entry)
    this.#owner.ref()
    return entry
  }

  /** Adds one connection to the context, which is made for the first one. */
  join(index: number, context: ConnectionContext): ContextEntry {
    const entry = this.#entries.get(index) ?? this.add(index, context)
    if (entry.closed) {
      entry.closed = false
      this.#owner.ref()
    }
    entry.accepted = ((entry.accepted ?? 0) + 1) >>> 0
    return entry
  }

  /** Adds a connection that has opened on another thread and moves here; the context is made for the first one. */
  moveIn(index: number, context: ConnectionContext): ContextEntry {
    let entry = this.#entries.get(index)
    if (entry === undefined) {
      entry = { ...fresh(context), accepted: 0, closed: true }
      this.#entries.set(index, entry)
    }
    entry.connections++
    return entry
  }

  /** Removes a connection of join() that won't come. */
  leave(index: number, entry: ContextEntry): void {
    this.acceptedInAll(index, entry, ((entry.accepted as number) - 1) >>> 0)
  }

  /** The listeners that are open, or about to be. */
  listeners(): Listener<unknown>[] {
    return Array.from(this.#entries.values(), ({ context }) => context.listener).filter(
      (listener) => listener !== undefined,
    )
  }

  acceptedInAll(index: number, entry: ContextEntry, accepted: number): void {
    entry.accepted = accepted
    this.#forget(index, entry)
  }

  opened(index: number): ContextEntry {
    const entry = this.#entries.get(index) as ContextEntry
    entry.connections++
    entry.opened = (entry.opened + 1) >>> 0
    if (entry.accepted !== undefined) this.#forget(index, entry)
    return entry
  }

  closed(index: number, entry: ContextEntry): void {
    entry.connections--
    if (entry.closed) this.#forget(index, entry)
  }

  /**
   * Deletes an unused context. Its handlers are needed by open connections, and by those whose `open` has not been
   * delivered.
   */
  #forget(index: number, entry: ContextEntry): void {
    if (entry.opened !== entry.accepted) return
    if (!entry.closed) {
      entry.closed = true
      entry.onClosed?.()
      this.#owner.unref()
    }
    if (entry.connections > 0) return
    this.#entries.delete(index)
    this.#owner.contextGone(index, entry.context)
  }
}

function fresh(context: ConnectionContext): ContextEntry {
  return {
    context,
    connections: 0,
    opened: 0,
    accepted: undefined,
    closed: false,
    onClosed: undefined,
    onOpen: undefined,
  }
}
