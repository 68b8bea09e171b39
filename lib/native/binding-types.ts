import type { AddressParts } from '../base/address.js'

/** The memory of one event batch, which the I/O thread fills. */
export interface EventMemory {
  readonly records: Uint32Array
  /** Replaced when little of it is left. */
  owned: Buffer
  readonly borrowed: Buffer
  /** While it is delivered: frames that were too large for a slab; those that there was no memory for are missing. */
  frames?: readonly (Buffer | undefined)[] | undefined
}

export interface IoThreadConfig {
  readonly name: string
  /** The only CPU that it may run on; -1 for those of this thread. */
  readonly cpu: number
  readonly maxConnections: number
  /** How many there are, on all of the reactor's threads. */
  readonly connections: Uint32Array
  /** There are other threads that have it in common. */
  readonly sharesQuota: boolean
  readonly level: boolean
  readonly ownFileTable: boolean
  readonly flushed: Uint32Array
  readonly stats: Float64Array
  readonly eventBatches: readonly EventMemory[]
  /** A batch of events is there. False if a part of it is held back: after `goOn()` it is called for that batch again. */
  readonly deliver: (batch: number, count: number, wantsSlab: boolean, frames: EventMemory['frames']) => boolean
  /** Handlers, nextTick callbacks and promises have run: publish what they wrote. */
  readonly flush: () => void
}

/** How the I/O thread serves a connection: the same for all of a listener's. */
export interface ConnectionSettings {
  /** The number of its `ConnectionContext`; a listener's is never used again. */
  readonly context: number
  readonly borrowed: boolean
  /** Nothing is read before it is resumed. */
  readonly paused?: boolean
  readonly idleTimeoutMs: number
  readonly readTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly totalTimeoutMs: number
  readonly framing: FramingSpec | undefined
}

/** How bytes are cut into frames. */
export type FramingSpec =
  | { readonly delimiter: Uint8Array; readonly maxFrameBytes: number }
  | {
      readonly lengthBytes: number
      readonly littleEndian: boolean
      readonly includesHeader: boolean
      readonly maxFrameBytes: number
    }

export interface ListenSpec {
  /** A listening socket that there is; it is duplicated. */
  readonly fd: number | undefined
  readonly host: string | undefined
  readonly port: number
  readonly path: string | undefined
  readonly backlog: number
  readonly reusePort: boolean
  /** The same, but only once it is bound. */
  readonly reusePortOnceBound: boolean
  /** By the order of the sockets that share the port. */
  readonly steerByCpu: readonly number[] | undefined
  /** False if another thread accepts, and hands connections to this one. */
  readonly accepts: boolean
  /** Index into PLACEMENTS, and who gets connections. */
  readonly spread: { readonly placement: number; readonly threads: readonly NativeIoThread[] } | undefined
  readonly ipv6Only: boolean
  readonly mptcp: boolean
  readonly settings: readonly number[]
  readonly congestion: string | undefined
  readonly connections: ConnectionSettings
}

/** The part of it that a socket has which nobody accepts from yet. */
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
  /** To cancel it by. */
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
/** A connection on its way between two I/O threads. */
declare const parcel: unique symbol
export type Parcel = { readonly [parcel]: never }
/** What has become of a connection that was to move; `undefined`: it had closed, or won't come. */
export type MoveOutcome = Parcel | ClosedOnMove | undefined
/** Its close; `lost`: on its way, so that the thread that it left doesn't count it. */
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
 * One I/O thread. Requests answer by callback, in order with the commands around them; `options`, `tcpInfo`, `broadcast` and
 * `fence` also while events are held back. They return the place of their payload in the batch, as `pin()` does, for the record
 * that names it.
 */
export interface NativeIoThread {
  addCommandBatch(records: Uint32Array, arena: Uint8Array): number
  publish(batch: number, count: number): number
  pin(batch: number, bytes: Uint8Array): number
  listen(batch: number, callback: (answer: Bound | Failure) => void, spec: ListenSpec): number
  /** Answers why not, or with nothing; the connection's `open` comes with that or later. */
  connect(batch: number, callback: (failure: Failure | Full | undefined) => void, spec: ConnectSpec): number
  /** By the number of its context. The attempt answers for itself. */
  cancelConnect(batch: number, callback: () => void, context: number): number
  /** Answers its slot, before its first event. The descriptor is the I/O thread's from here on. */
  adopt(batch: number, callback: (answer: number | Failure | Full) => void, spec: AdoptSpec): number
  /** Answers before the connection's last event. The descriptor is whoever's asked. */
  detach(
    batch: number,
    callback: (answer: DetachedSocket | Failure | Closed) => void,
    slot: number,
    generation: number,
  ): number
  /**
   * A slot for a connection that is to move here; nothing if there is none. `flushed` is its counter for now; `muted`: it
   * takes no broadcasts. What waits for it there counts for `maxWriteQueue`.
   */
  reserve(
    batch: number,
    callback: (place: readonly [slot: number, generation: number] | undefined) => void,
    flushed: number,
    muted: boolean,
    maxWriteQueue: number,
  ): number
  /** Lets it go to another I/O thread: no file is in its queue. Answers before its last event; with nothing if it has closed. */
  release(batch: number, callback: (outcome: MoveOutcome) => void, slot: number, generation: number): number
  /** What has become of the connection that this slot was reserved for; `undefined`: it won't come. */
  settle(batch: number, callback: () => void, slot: number, generation: number, outcome: MoveOutcome): number
  /** Slots and generations of connections, at most `max` of them, that nothing has moved on for `ms`. */
  idle(batch: number, callback: (places: Uint32Array) => void, ms: number, max: number): number
  /** Answers how many connections it accepted, modulo 2^32; the events of some may come later than this. */
  closeListener(batch: number, callback: (accepted: number) => void, index: number): number
  options(
    batch: number,
    callback: (answer: Applied | Failure | Closed) => void,
    slot: number,
    generation: number,
    settings: readonly number[],
    congestion: string | undefined,
  ): number
  tcpInfo(
    batch: number,
    callback: (answer: { readonly values: Float64Array } | Failure | Closed) => void,
    slot: number,
    generation: number,
  ): number
  /** `[slot, generation]` of a, then of b. Answers, if they are held, what they were adopted with and had yet to read. */
  holdRelay(
    batch: number,
    callback: (held: false | readonly [unreadA: Buffer, unreadB: Buffer]) => void,
    places: readonly number[],
  ): number
  /** The relay that this connection is held for. Answers when it is over. */
  relay(
    batch: number,
    callback: (bytes: readonly [fromA: number, fromB: number]) => void,
    slot: number,
    generation: number,
  ): number
  /** Copies the targets, `count` of them, and the bytes if they aren't pinned; `except` is a slot. */
  broadcast(
    batch: number,
    callback: (reached: number, queued: number, cut: number) => void,
    bytes: Uint8Array,
    pinned: boolean,
    targets: Uint32Array,
    count: number,
    except: number | undefined,
  ): number
  /** More bytes for the broadcast that is the last command of the batch; they are copied. */
  extendBroadcast(batch: number, bytes: Uint8Array): void
  /** Answers when all before it is carried out. */
  fence(batch: number, callback: () => void): number
  goOn(): void
  sendFile(
    batch: number,
    callback: (answer: number | Failure | Closed | { readonly own: number }) => void,
    spec: SendFileSpec,
  ): number
  cancelFile(batch: number, callback: () => void, slot: number, generation: number, id: number): number
  /** The answer to an EVENT_FRAMING. */
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
  /** False if the I/O thread has the batch. */
  setOwnedSlab(batch: number, slab: Buffer): boolean
  address(slot: number, remote: boolean): AddressParts | undefined
  cpuMicros(): number
  /** By which other threads of the process know it. */
  loopNumber(): number
  setRef(ref: boolean): void
  close(): void
}

/** What the addon exports. */
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
