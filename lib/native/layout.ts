/**
 * The records that cross the thread boundary, as `native/exchange/event_batch.h` and `native/exchange/command_batch.h`
 * define them. The addon exports its own values under the same names, and a test compares the two.
 */

/** The number of 32-bit words in an event: `event | argument << 8`, slot, a, b. */
export const EVENT_WORDS = 4
/** The number of events in a batch. */
export const EVENT_RECORDS = 4096
/** The room below which a slab counts as full. */
export const MIN_READ_BYTES = 16_384

/** argument: context, a: generation */
export const EVENT_OPEN = 1
/** argument: one of the next three; a: offset in that slab, b: length */
export const EVENT_DATA = 2
export const READ_OWNED = 0
export const READ_BORROWED = 1
/** The frame has memory of its own; a: index in the batch's frames */
export const OWN_MEMORY = 2
export const EVENT_END = 3
export const EVENT_DRAIN = 4
/** argument: index into TIMEOUT_KINDS, a: 1 if the connection was ended a whole period before */
export const EVENT_TIMEOUT = 5
/** argument: index into SYSCALLS, a: errno, an OWN_ERROR, or 0 */
export const EVENT_CLOSE = 6
/** argument: listener, a: errno, or 0 at maxConnections */
export const EVENT_SATURATED = 7
/** argument: WATCH bits, slot: the watch's number */
export const EVENT_WATCH = 8
/** argument: one of the next two. Nothing is read until a `reframe` */
export const EVENT_FRAMING = 9
/** Reading stopped as a COMMAND_REFRAME requested: all earlier bytes were cut by the old framing */
export const FRAMING_STOPPED = 0
/** The bytes that follow are no frame, or one that is too large */
export const FRAMING_INVALID = 1

/** The number of 32-bit words in a target of a broadcast: slot, generation, maxWriteQueue, and one that lib/ uses. */
export const TARGET_WORDS = 4
/** The number of target lists that the addon remembers for each thread. */
export const RECENT_LISTS = 8

/** The number of 32-bit words in a command: `command | argument << 8`, slot, generation, a, b. */
export const COMMAND_WORDS = 5

/** argument: `maxWriteQueue` in KiB, and DRAIN_WISH; a: offset in the arena, b: length */
export const COMMAND_WRITE = 1
export const COMMAND_WRITE_PINNED = 2
export const COMMAND_END = 3
export const COMMAND_DESTROY = 4
export const COMMAND_RESET = 5
export const COMMAND_PAUSE = 6
export const COMMAND_RESUME = 7
/** argument: index into TIMEOUT_KINDS, a: milliseconds */
export const COMMAND_SET_TIMEOUT = 8
export const COMMAND_WANT_DRAIN = 9
/** A bit of a write's first word: a COMMAND_WANT_DRAIN behind it */
export const DRAIN_WISH = 2 ** 30
export const COMMAND_REQUEST = 10
/** Stops reading, and raises EVENT_FRAMING */
export const COMMAND_REFRAME = 13
/** Stops broadcasts to the connection, and writes of workers */
export const COMMAND_MUTE = 14

/** The bits for a watched descriptor: the requested events, and the reported ones. */
export const WATCH_READABLE = 1
export const WATCH_WRITABLE = 2
export const WATCH_HANGUP = 4
export const WATCH_ERROR = 8
export const WATCH_PRIORITY = 16

/**
 * The bytes that a waiting file counts for `maxWriteQueue`, and the sum of such costs that is allowed on any
 * connection.
 */
export const QUEUE_FILE_COST = 2048
export const QUEUE_MIN_COST = 65_536

/** The last generation; the first is 1. */
export const LAST_GENERATION = 2 ** 23 - 1

/** The kinds of a connection's timeouts, as in `native/table/timeouts.h`. */
export const TIMEOUT_KINDS = ['idle', 'read', 'write', 'total'] as const
/** The timeout that has run out, as the `timeout` handler gets it. */
export type TimeoutKind = (typeof TIMEOUT_KINDS)[number]

/** The rules by which an acceptor distributes connections over I/O threads. */
export const PLACEMENTS = ['least-connections', 'round-robin', 'source-hash'] as const

/** The system calls that an EVENT_CLOSE may name. */
export const SYSCALLS = ['read', 'write', 'sendfile'] as const

/**
 * The reasons for which the I/O thread closed a connection on its own: `OwnError` in `native/exchange/event_batch.h`.
 * No errno is as large.
 */
export const OWN_ERROR_FILE_TRUNCATED = 4097
export const OWN_ERROR_RELAY_FAILED = 4098
export const OWN_ERROR_WRITE_QUEUE_FULL = 4104
export const OWN_ERROR_FILE_ABORTED = 4110

/** The counters that an I/O thread shares, in order; `native/exchange/stats.h` describes each. */
export const STAT_NAMES = [
  'accepted',
  'connected',
  'adopted',
  'closed',
  'moved',
  'acceptErrors',
  'shed',
  'saturations',
  'reads',
  'bytesRead',
  'writes',
  'bytesWritten',
  'turns',
  'batches',
  'jsWakeups',
  'queueBytes',
  'relays',
  'bytesRelayed',
  'relayPipes',
] as const
