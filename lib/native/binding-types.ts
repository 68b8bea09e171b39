import type { AddressParts } from '../base/address.js'

/** The memory of one event batch, which the I/O thread fills. */
export interface EventMemory {
  readonly records: Uint32Array
  /** The slab for owned chunks; replaced when little of it is left. */
  owned: Buffer
  readonly borrowed: Buffer
  /**
   * Frames that were too large for a slab, while the batch is delivered; those that there was no memory for are
   * missing.
   */
  frames?: readonly (Buffer | undefined)[] | undefined
}

export interface IoThreadConfig {
  readonly name: string
  /** The only CPU on which the thread may run; -1 for those of this thread. */
  readonly cpu: number
  readonly maxConnections: number
  /** The number of connections on all of the reactor's threads. */
  readonly connections: Uint32Array
  /** True if other threads share `connections`. */
  readonly sharesQuota: boolean
  readonly level: boolean
  readonly ownFileTable: boolean
  readonly flushed: Uint32Array
  readonly stats: Float64Array
  readonly eventBatches: readonly EventMemory[]
  /**
   * Called with a batch of events. Returns false if a part of it must wait: after `goOn()` it is called for that batch
   * again.
   */
  readonly deliver: (batch: number, count: number, wantsSlab: boolean, frames: EventMemory['frames']) => boolean
  /** Called when handlers, nextTick callbacks and promises have run: publishes what they wrote. */
  readonly flush: () => void
}

/** Settings by which the I/O thread serves a connection: the same for all of a listener's. */
export interface ConnectionSettings {
  /** The number of its `ConnectionContext`; a listener's is never used again. */
  readonly context: number
  readonly borrowed: boolean
  /** True if nothing is read before it is resumed. */
  readonly paused?: boolean
  readonly idleTimeoutMs: number
  readonly readTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly totalTimeoutMs: number
  readonly framing: FramingSpec | undefined
}

/** The spec of a framing: how bytes are cut into frames. */
export type FramingSpec =
  | { readonly delimiter: Uint8Array; readonly maxFrameBytes: number }
  | {
      readonly lengthBytes: number
      readonly littleEndian: boolean
      readonly includesHeader: boolean
      readonly maxFrameBytes: number
    }

export interface ListenSpec {
  /** An existing listening socket; it is duplicated. */
  readonly fd: number | undefined
  readonly host: string | undefined
  readonly port: number
  readonly path: string | undefined
  readonly backlog: number
  readonly reusePort: boolean
  /** Sets `reusePort`, but only once the socket is bound. */
  readonly reusePortOnceBound: boolean
  /** The CPUs, in the order of the sockets that share the port. */
  readonly steerByCpu: readonly number[] | undefined
  /** False if another thread accepts, and hands connections to this one. */
  readonly accepts: boolean
  /** An index into PLACEMENTS, and the threads that get connections. */
  readonly spread: { readonly placement: number; readonly threads: readonly NativeIoThread[] } | undefined
  readonly ipv6Only: boolean
  readonly mptcp: boolean
  readonly settings: readonly number[]
  readonly congestion: string | undefined
  readonly connections: ConnectionSettings
}

/** The part of a spec that applies to a socket without a thread that accepts from it. */
export type ListenSocketSpec = Omit<ListenSpec, 'accepts' | 'spread' | 'connections'>

export interface ConnectSpec {
  readonly host: string | undefined
  readonly port: number
  readonly path: string | undefined
  readonly localAddress: string | undefined
  readonly localPort: number
  readonly mptcp: boolean
  readonly fastOpen: boolean
  readonly connectTimeoutMs: number
  readonly settings: readonly number[]
  readonly congestion: string | undefined
  readonly connection: ConnectionSettings
}

export interface SendFileSpec {
  readonly slot: number
  readonly generation: number
  /** The number by which the transfer is cancelled. */
  readonly id: number
  readonly path?: string | Uint8Array
  readonly fd?: number
  readonly start: number
  readonly end: number | undefined
  readonly maxWriteQueue: number
}

export interface AdoptSpec {
  readonly fd: number
  readonly unread: Uint8Array
  readonly connection: ConnectionSettings
}

export interface Failure {
  readonly errno: number
  readonly syscall: string
  readonly option?: string
  readonly unsupported?: boolean
}
/** The reactor holds `maxConnections`. */
export interface Full {
  readonly full: true
}
export interface Closed {
  readonly closed: true
}
export interface DetachedSocket {
  readonly fd: number
  readonly unread: Buffer
  readonly unsent: Buffer
}
/** A connection that is migrating between two I/O threads. */
declare const parcel: unique symbol
export type Parcel = { readonly [parcel]: never }
/** The outcome of a move; `undefined`: the connection had closed before, or won't come. */
export type MoveOutcome = Parcel | ClosedOnMove | undefined
/**
 * The close of a connection during its move; `lost`: between the threads, so that the one that it left doesn't count
 * it.
 */
export interface ClosedOnMove {
  readonly errno: number
  readonly syscall: number
  readonly lost?: boolean
}
export interface Applied {
  readonly settings: readonly number[]
  readonly congestion?: string
}
export interface Bound extends Applied {
  readonly address: AddressParts
}

/**
 * One I/O thread. Requests reply by callback, in order with the commands around them; `options`, `tcpInfo`, `broadcast`
 * and `fence` also while events wait in a batch. They return the place of their payload in the batch, as `pin()` does,
 * for the record that names it.
 */
export interface NativeIoThread {
  addCommandBatch(records: Uint32Array, arena: Uint8Array): number
  publish(batch: number, count: number): number
  pin(batch: number, bytes: Uint8Array): number
  listen(batch: number, callback: (reply: Bound | Failure) => void, spec: ListenSpec): number
  /** Replies with a failure, or with nothing; the connection's `open` comes with that or later. */
  connect(batch: number, callback: (failure: Failure | Full | undefined) => void, spec: ConnectSpec): number
  /** Cancels an attempt, by the number of its context. The attempt has a reply of its own. */
  cancelConnect(batch: number, callback: () => void, context: number): number
  /** Replies with the slot, before its first event. The descriptor belongs to the I/O thread from here on. */
  adopt(batch: number, callback: (reply: number | Failure | Full) => void, spec: AdoptSpec): number
  /** Replies before the connection's last event. The descriptor belongs to the caller from then on. */
  detach(
    batch: number,
    callback: (reply: DetachedSocket | Failure | Closed) => void,
    slot: number,
    generation: number,
  ): number
  /**
   * Replies with a slot for a connection that will move here, or with nothing if there is none. `flushed` is its
   * counter for now; `muted`: it takes no broadcasts. Bytes that wait for it there count for `maxWriteQueue`.
   */
  reserve(
    batch: number,
    callback: (place: readonly [slot: number, generation: number] | undefined) => void,
    flushed: number,
    muted: boolean,
    maxWriteQueue: number,
  ): number
  /**
   * Hands a connection out to another I/O thread; it has no file in its queue. Replies before its last event; with
   * nothing if it has closed.
   */
  moveOut(batch: number, callback: (outcome: MoveOutcome) => void, slot: number, generation: number): number
  /**
   * Completes a move, with the outcome for the connection that this slot was reserved for; `undefined`: it won't come.
   */
  finishMove(batch: number, callback: () => void, slot: number, generation: number, outcome: MoveOutcome): number
  /** Replies with slots and generations of connections, at most `max`, that have been idle for `ms`. */
  idle(batch: number, callback: (places: Uint32Array) => void, ms: number, max: number): number
  /** Replies with the number of connections that it accepted, modulo 2^32; events of some may come later than this. */
  closeListener(batch: number, callback: (accepted: number) => void, index: number): number
  options(
    batch: number,
    callback: (reply: Applied | Failure | Closed) => void,
    slot: number,
    generation: number,
    settings: readonly number[],
    congestion: string | undefined,
  ): number
  tcpInfo(
    batch: number,
    callback: (reply: { readonly values: Float64Array } | Failure | Closed) => void,
    slot: number,
    generation: number,
  ): number
  /**
   * Takes `[slot, generation]` of a, then of b. Replies, if both are prepared, with the bytes that they were adopted
   * with and had not read.
   */
  prepareRelay(
    batch: number,
    callback: (unread: false | readonly [ofA: Buffer, ofB: Buffer]) => void,
    places: readonly number[],
  ): number
  /** Starts the relay for which this connection is prepared. Replies when it has ended. */
  relay(
    batch: number,
    callback: (bytes: readonly [fromA: number, fromB: number]) => void,
    slot: number,
    generation: number,
  ): number
  /** Copies the `count` targets, and the bytes if they aren't pinned; `except` is a slot. */
  broadcast(
    batch: number,
    callback: (reached: number, queued: number, cut: number) => void,
    bytes: Uint8Array,
    pinned: boolean,
    targets: Uint32Array,
    count: number,
    except: number | undefined,
  ): number
  /** Adds bytes to the broadcast that is the last command of the batch; they are copied. */
  extendBroadcast(batch: number, bytes: Uint8Array): void
  /** Replies when all earlier commands have been executed. */
  fence(batch: number, callback: () => void): number
  goOn(): void
  sendFile(
    batch: number,
    callback: (reply: number | Failure | Closed | { readonly own: number }) => void,
    spec: SendFileSpec,
  ): number
  cancelFile(batch: number, callback: () => void, slot: number, generation: number, id: number): number
  /** Responds to an EVENT_FRAMING. */
  reframe(
    batch: number,
    slot: number,
    generation: number,
    framing: FramingSpec | undefined,
    bytes: Uint8Array,
    ended: boolean,
  ): number
  watch(fd: number, interest: number, number: number): Failure | undefined
  unwatch(fd: number): void
  /** Returns false if the I/O thread has the batch. */
  setOwnedSlab(batch: number, slab: Buffer): boolean
  address(slot: number, remote: boolean): AddressParts | undefined
  cpuMicros(): number
  /** Returns the number by which other threads of the process know it. */
  loopNumber(): number
  setRef(ref: boolean): void
  close(): void
}

/** The addon's exports. */
export interface Addon {
  readonly IoThread: new (config: IoThreadConfig) => NativeIoThread
  readonly layout: Readonly<Record<string, number | readonly string[]>>
  readonly openListeningSocket: (spec: ListenSocketSpec) => (Bound & { readonly fd: number }) | Failure
  readonly takeSocket: (fd: number, duplicate: boolean, away?: boolean) => number | Failure
  readonly setDescriptorLimit: (count: number) => Failure | undefined
  readonly writeRemote: (
    loop: number,
    slot: number,
    generation: number,
    maxWriteQueue: number,
    bytes: Uint8Array,
  ) => boolean
  readonly reportException: (error: unknown) => void
}
