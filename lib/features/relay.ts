import { checkAborted, onAbort, reasonOf } from '../base/abort.js'
import { asError, C1mError, invalidType, invalidValue, reactorFull } from '../base/errors.js'
import { needMoreStack } from '../base/stack.js'
import { checkInteger, checkKeys, checkObject, checkSignal, keysOf } from '../base/validate.js'
import { Connection } from '../connection/connection.js'
import type { RelaySide } from '../connection/relay-side.js'
import { filesDone } from '../connection/send-file.js'
import type { Place } from '../io/io-port.js'
import { COMMAND_MUTE, COMMAND_PAUSE } from '../native/layout.js'
import { ioThreadOf } from '../thread/io-thread.js'
import { move } from './moving.js'
import { type RelayAccess, relayAccess } from './relay-access.js'

/** Options of `relay()`. */
export interface RelayOptions {
  /**
   * Milliseconds without a byte in either direction after which both connections are destroyed with
   * ERR_C1M_IDLE_TIMEOUT; in place of their own idle timeouts, whose `timeout` handlers aren't called then. 0 is never;
   * up to 2^31-1; never early, up to 16 ms late. Default: each connection keeps its own, and a byte in either direction
   * counts for both.
   */
  idleTimeoutMs?: number | undefined
  /** Aborting destroys both connections. */
  signal?: AbortSignal | undefined
}

/** The result of a relay. */
export interface RelayResult {
  /** Bytes that were received from `a` and given to the kernel for `b`, and the other way round. */
  readonly bytesFromA: number
  readonly bytesFromB: number
  /**
   * - `'end'`: both have sent their FIN, and all that they sent was passed on
   * - `'error'`: the socket of `side` failed with `error`; the other connection was reset
   * - `'destroyed'`: the connection of `side` was destroyed or reset locally, by a `shutdown()` for example, with
   *   `error` if there was one; so was the other
   * - `'timeout'`: no bytes came from either side for the idle timeout
   * - `'aborted'`: by the signal; `error` is its reason
   */
  readonly reason: 'end' | 'error' | 'destroyed' | 'timeout' | 'aborted'
  /** The side that ended the relay, if it was one. */
  readonly side?: 'a' | 'b'
  /** The error of that side, or the reason of the abort. */
  readonly error?: Error
}

const OPTIONS = keysOf<RelayOptions>({ idleTimeoutMs: true, signal: true })
const MAX_MS = 2 ** 31 - 1
const SIDES = ['a', 'b'] as const
type Side = (typeof SIDES)[number]

/**
 * Forwards what each of two connections receives to the other, on the I/O thread and in the kernel: no handler is
 * called for it, and a busy JS thread doesn't delay it. A FIN is forwarded behind the last byte, and the other
 * direction continues; a slow receiver slows its sender; an idle relay holds no buffer and no pipe. (splice(2))
 *
 * Bytes that `data` handlers were given before the call are not relayed. All others are, once and in order: bytes that
 * were buffered by `pause()`, those in flight to this thread, and those still in the kernel. Earlier writes to either
 * connection go out first. From the call on, `data`, `end` and `drain` aren't called for the two; `write()`, `end()`,
 * `pause()` and `resume()` do nothing and return `false`. `destroy()` and `reset()` of one do the same to the other;
 * its `close` gets ERR_C1M_RELAY_FAILED. An error of one side resets the other, so that its peer doesn't take half a
 * stream for a whole one.
 *
 * If the two are on different I/O threads, `b` moves to that of `a` first. If files are in its queue, it moves after
 * they have been sent, and until then neither is read.
 *
 * Resolves when both have closed and their `close` handlers have returned. Rejects, before anything happens, with a
 * TypeError or RangeError for bad arguments (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE,
 * ERR_C1M_OUT_OF_RANGE), and with the reason of an aborted signal. Rejects with ERR_C1M_CONNECTION_CLOSED if one of the
 * two has closed or has been ended, and then the other is destroyed.
 *
 * @example
 * await reactor.listen({ port: 80, allowHalfOpen: true }, {
 *   async open(client) {
 *     client.pause()
 *     try {
 *       const upstream = await reactor.connect({ host: '10.0.0.7', port: 8080 })
 *       const { bytesFromA, bytesFromB, reason } = await relay(client, upstream, { idleTimeoutMs: 60_000 })
 *     } catch (error) {
 *       client.destroy(error)
 *     }
 *   },
 * })
 */
export async function relay<A, B>(a: Connection<A>, b: Connection<B>, options?: RelayOptions): Promise<RelayResult> {
  const given = checkObject('options', options)
  checkKeys('options', given, OPTIONS)
  const { idleTimeoutMs, signal } = given
  if (idleTimeoutMs !== undefined) checkInteger('idleTimeoutMs', idleTimeoutMs, 0, MAX_MS)
  checkSignal(signal)
  for (const name of SIDES) checkConnection(name, { a, b }[name])
  if ((a as Connection) === (b as Connection)) throw invalidValue('"a" and "b" are one connection')
  const gone = whyGone('a', a as Connection) ?? whyGone('b', b as Connection)
  if (gone !== undefined) {
    // The result is as if it had closed a moment later: a connection that was made for the relay alone has no other
    // user.
    for (const conn of [a, b] as Connection[]) abandon(conn)
    throw gone
  }
  const sides = { a: end('a', a as Connection), b: end('b', b as Connection) }
  const io = ioThreadOf(sides.a.place)
  if (!io.isOfSameReactor(ioThreadOf(sides.b.place))) {
    throw invalidValue('"a" and "b" must be connections of one reactor')
  }
  checkAborted(signal)
  return io.operation(() => new Relay(sides, idleTimeoutMs).run(signal))
}

/** One end of a relay. */
interface End extends RelayAccess {
  readonly conn: Connection
  readonly place: Place
}

function checkConnection(name: Side, conn: unknown): void {
  if (!(conn instanceof Connection)) throw invalidType(name, 'a Connection', conn)
}

function whyGone(name: Side, conn: Connection): C1mError | undefined {
  const gone = conn.here === undefined
  if (!gone && !conn.writableEnded) return undefined
  return new C1mError('ERR_C1M_CONNECTION_CLOSED', `"${name}" has ${gone ? 'closed' : 'been ended'}`)
}

/** Destroys a connection that no relay will use, unless it was ended and closes on its own, or another relay has it. */
function abandon(conn: Connection): void {
  const { relayed, destroy } = relayAccess(conn)
  if (!relayed && !conn.writableEnded) destroy(false, relayFailed())
}

/** Returns the end for a connection that is open. */
function end(name: Side, conn: Connection): End {
  const access = relayAccess(conn)
  const { relayed, framed } = access
  const place = conn.here as Place
  if (relayed) throw invalidValue(`"${name}" is being relayed, or detached`)
  // The I/O thread has the beginning of a frame, and frames have lost their length or delimiter.
  if (framed)
    throw invalidValue(`"${name}" has a framing: it is relayed once setFraming(undefined) has brought a chunk`)
  return { ...access, conn, place }
}

interface Closed {
  readonly side: Side
  readonly destroyed: boolean
  readonly error: Error | undefined
}

/**
 * The start of a relay, without a byte lost or out of its place:
 *
 * 1. From the call on, `data` events of one connection become writes to the other.
 * 2. `prepareRelay` goes to the I/O thread, behind all earlier writes. From then on that thread reads neither connection.
 *    The reply comes with the batch of events that was being filled at that time, or with a later one: data that was
 *    read before is in that batch, or in one that was delivered earlier.
 * 3. A promise's callbacks run when a batch has been delivered as a whole, and batches are delivered in order. So when
 *    the callbacks of the reply run, each earlier `data` event has become a write.
 * 4. `relay` is sent behind these writes. The I/O thread sends a connection's queue to its end before it moves the
 *    first byte to it on its own, and JavaScript adds nothing more to a queue.
 */
class Relay {
  readonly #sides: Readonly<Record<Side, End>>
  readonly #idleTimeoutMs: number | undefined
  /** Bytes forwarded by JavaScript, before the I/O thread took over. */
  readonly #forwarded = { a: 0, b: 0 }
  readonly #closed: Closed[] = []
  /** True once the I/O thread knows the relay, and does to one side what is done to the other. */
  #known = false
  #onClosed: (() => void) | undefined
  #stopped: { readonly reason: 'timeout' | 'aborted'; readonly error: Error } | undefined

  constructor(sides: Readonly<Record<Side, End>>, idleTimeoutMs: number | undefined) {
    this.#sides = sides
    this.#idleTimeoutMs = idleTimeoutMs
  }

  async run(signal: AbortSignal | undefined): Promise<RelayResult> {
    // The relay begins in several steps, which must not fail for lack of stack.
    needMoreStack()
    const forget = signal && onAbort(signal, () => this.#stop('aborted', reasonOf(signal)))
    try {
      for (const side of SIDES) this.#sides[side].take(this.#side(side))
      const [fromA, fromB] = await this.#start()
      await this.#bothClosed()
      return {
        bytesFromA: fromA + this.#forwarded.a,
        bytesFromB: fromB + this.#forwarded.b,
        ...this.#end(),
      }
    } catch (error) {
      // There is no memory: neither side's handlers are called any more, and the bytes are not forwarded.
      for (const side of SIDES) this.#sides[side].destroy(false, asError(error))
      throw error
    } finally {
      forget?.()
    }
  }

  async #start(): Promise<readonly [number, number]> {
    const { a, b } = this.#sides
    // `prepareRelay` may have to wait for a connection that is migrating; broadcasts don't wait, so they stop now.
    const apart = a.place.io !== b.place.io
    for (const { io, slot, generation } of [a.place, b.place]) {
      io.commands.push(COMMAND_MUTE, slot, generation)
      // Bytes that are read meanwhile would go into the other's queue, without a bound. `prepareRelay` undoes the pause.
      if (apart) io.commands.push(COMMAND_PAUSE, slot, generation)
    }
    if (this.#idleTimeoutMs !== undefined) {
      a.conn.setTimeout(this.#idleTimeoutMs)
      b.conn.setTimeout(0)
    }
    if (apart) await this.#join()
    this.#known = true
    const { io, slot, generation } = a.conn.here ?? a.place
    const other = b.conn.here
    // Generation 0 stands for no connection.
    const places = [slot, generation, ...(other?.io === io ? [other.slot, other.generation] : [0, 0])]
    const unread = await io.request<false | readonly [Buffer, Buffer]>((batch, callback) =>
      io.native.prepareRelay(batch, callback, places),
    )
    if (unread === false) {
      // One of them closes, and the other has been reset: both closes are delivered in a moment.
      return [0, 0]
    }
    for (const [i, side] of SIDES.entries()) {
      const first = unread[i]
      if (first !== undefined && first.length > 0) this.#side(side).data(first)
    }
    return io.request((batch, callback) => io.native.relay(batch, callback, slot, generation), { lasts: true })
  }

  /** Moves `b` to the I/O thread of `a`, because a relay belongs to one thread. */
  async #join(): Promise<void> {
    const { a, b } = this.#sides
    // No more files are added from here on. The wait ends when the connection ends, for example by its idle timeout.
    await filesDone(b.conn)
    const to = ioThreadOf(a.place)
    if (await move(b.conn, to, () => true, true)) return
    // A shutdown that cuts gives its own reason.
    if (!to.owner.moves.stopped) b.conn.destroy(reactorFull())
  }

  #side(side: Side): RelaySide {
    const other = side === 'a' ? 'b' : 'a'
    return {
      data: (chunk) => {
        this.#forwarded[side] += chunk.length
        this.#sides[other].write(chunk)
      },
      destroyed: (reset) => {
        if (this.#known || this.#stopped !== undefined) return
        // Code that destroys both, as a shutdown does, gives each its reason.
        process.nextTick(() => this.#sides[other].destroy(reset, relayFailed()))
      },
      timeout: () => {
        if (this.#idleTimeoutMs === undefined) return false
        this.#stop('timeout', new C1mError('ERR_C1M_IDLE_TIMEOUT', 'The relay was idle for its timeout'))
        return true
      },
      closed: (destroyed, error) => {
        this.#closed.push({ side, destroyed, error })
        // The I/O thread, which would do it, doesn't know of the two yet. `destroyed()` has handled the other cases.
        if (!this.#known && !destroyed) this.#sides[other].destroy(error !== undefined, relayFailed())
        if (this.#closed.length === 2) this.#onClosed?.()
      },
    }
  }

  #stop(reason: 'timeout' | 'aborted', error: unknown): void {
    this.#stopped ??= { reason, error: asError(error) }
    for (const side of SIDES) this.#sides[side].conn.destroy(this.#stopped.error)
  }

  #bothClosed(): Promise<void> {
    if (this.#closed.length === 2) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onClosed = resolve
    })
  }

  #end(): Pick<RelayResult, 'reason' | 'side' | 'error'> {
    if (this.#stopped !== undefined) return this.#stopped
    // The first side that didn't close because of the other.
    const culprit = this.#closed.find(
      ({ destroyed, error }) => (destroyed || error !== undefined) && !isConsequence(error),
    )
    if (culprit === undefined) return { reason: 'end' }
    const { side, destroyed, error } = culprit
    const timedOut = error instanceof C1mError && error.code === 'ERR_C1M_IDLE_TIMEOUT'
    const reason = timedOut ? 'timeout' : destroyed ? 'destroyed' : 'error'
    return { reason, side, ...(error !== undefined && { error }) }
  }
}

function relayFailed(): C1mError {
  return new C1mError('ERR_C1M_RELAY_FAILED', 'The other side of the relay was destroyed')
}

function isConsequence(error: Error | undefined): boolean {
  return error instanceof C1mError && error.code === 'ERR_C1M_RELAY_FAILED'
}
