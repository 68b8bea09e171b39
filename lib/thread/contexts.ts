import type { Connection, ConnectionContext } from '../connection/connection.js'
import type { Listener } from '../listener.js'

/** @internal What a call that makes connections has made of them. */
export interface ContextEntry {
  readonly context: ConnectionContext
  /** Open now. */
  connections: number
  /** Opened so far, modulo 2^32. */
  opened: number
  /** What `opened` will come to: known when the socket is closed, and at any time of sockets that are adopted. */
  accepted: number | undefined
  /** It takes no more connections, and all that it took have opened. */
  closed: boolean
  onClosed: (() => void) | undefined
  /** An outgoing connection is there. */
  onOpen: ((conn: Connection<unknown>) => void) | undefined
}

interface ContextsOwner {
  ref(): void
  unref(): void
  /** Nothing more will come of what this context is for. */
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

  /** Adds one connection to those that have this context in common; the context, if there is none. */
  join(index: number, context: ConnectionContext): ContextEntry {
    const entry = this.#entries.get(index) ?? this.add(index, context)
    if (entry.closed) {
      entry.closed = false
      this.#owner.ref()
    }
    entry.accepted = ((entry.accepted ?? 0) + 1) >>> 0
    return entry
  }

  /** One comes from another thread, where it has opened; the context, if there is none. */
  moveIn(index: number, context: ConnectionContext): ContextEntry {
    let entry = this.#entries.get(index)
    if (entry === undefined) {
      entry = { ...fresh(context), accepted: 0, closed: true }
      this.#entries.set(index, entry)
    }
    entry.connections++
    return entry
  }

  /** That one won't come. */
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

  /** Its connections need its handlers: those that it has, and those whose `open` is yet to come. */
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
