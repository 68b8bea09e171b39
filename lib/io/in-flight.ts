import { C1mError } from '../base/errors.js'

/**
 * The amount in flight to the I/O threads beyond which no more events are delivered: requests, also to connect, bytes
 * of broadcasts, and batches of commands that are not executed. A request costs JavaScript up to 2 KB, so that these
 * are 2 MB, 32 MiB, and 11 MB.
 */
export const MAX_REQUESTS = 1024
const MAX_BYTES = 32 * 1024 * 1024
export const MAX_COMMAND_BATCHES = 32
/**
 * The hard limit, which only a caller without back-pressure reaches, such as a timer: a handler that makes one request
 * for each byte of the largest chunk adds a quarter of these requests.
 */
const LIMIT_REQUESTS = 256 * 1024
const LIMIT_BYTES = 512 * 1024 * 1024

/** @internal Throws if `inProgress` attempts to connect are too many for one more. */
export function checkAttempts(inProgress: number): void {
  if (inProgress < LIMIT_REQUESTS) return
  throw new C1mError('ERR_C1M_TOO_MUCH_IN_FLIGHT', `${inProgress} attempts to connect are in progress`)
}

/**
 * @internal Counts a reactor's requests to its I/O threads that only the threads have to work on: none waits for a
 * peer, a disk, or an event that JavaScript has not taken. Beyond a limit `full` says that events must be buffered. The
 * batches then stay where they are, the I/O threads stop reading because there is no other batch, and TCP throttles the
 * peers: whatever they send, and whatever handlers do with it, memory is bounded by this limit and by what the running
 * handler adds to it.
 *
 * ```text
 *   handlers ─── add ──▶ in flight ─── an I/O thread has done it ──▶ remove ──▶ half of it left: events are delivered again
 * ```
 *
 * This state always ends: replies come on their own, not with events.
 */
export class InFlight {
  full = false
  #requests = 0
  #bytes = 0
  #fences = 0
  /** The fences of threads whose commands pile up: each asks for a reply behind them. */
  readonly #behind = new Set<(passed: () => void) => void>()
  /** The callbacks that continue a thread's events. */
  readonly #waiting = new Set<() => void>()

  /** Throws if the hard limit has been reached. */
  check(): void {
    if (this.#requests < LIMIT_REQUESTS && this.#bytes < LIMIT_BYTES) return
    const bytes = this.#bytes > 0 ? `, with ${this.#bytes} bytes to broadcast,` : ''
    throw new C1mError('ERR_C1M_TOO_MUCH_IN_FLIGHT', `${this.#requests} requests${bytes} wait for the I/O threads`)
  }

  add(requests: number, bytes: number): void {
    this.#requests += requests
    this.#bytes += bytes
    if (this.#requests > MAX_REQUESTS || this.#bytes > MAX_BYTES) this.full = true
  }

  /** Subtracts requests that have their reply. */
  remove(requests: number, bytes: number): void {
    this.#requests -= requests
    this.#bytes -= bytes
    this.#resume()
  }

  /**
   * Notes that the max number of commands, or attempts to connect, has been given to a thread. `fence` asks for a reply
   * behind them.
   */
  behind(fence: (passed: () => void) => void): void {
    this.#behind.add(fence)
    this.full = true
  }

  /** Notes that a thread has suspended the delivery of its events; `goOn` is called when it may continue. */
  suspend(goOn: () => void): void {
    this.#waiting.add(goOn)
    this.#ask()
  }

  #ask(): void {
    for (const fence of this.#behind) {
      this.#behind.delete(fence)
      this.#fences++
      fence(() => {
        this.#fences--
        this.#resume()
      })
    }
  }

  #resume(): void {
    const below = this.#requests <= MAX_REQUESTS / 2 && this.#bytes <= MAX_BYTES / 2
    if (!this.full || !below) return
    // Fences were added after the last suspend(): a thread that has suspended its events may call it no more.
    if (this.#waiting.size > 0) this.#ask()
    if (this.#fences > 0 || this.#behind.size > 0) return
    this.full = false
    for (const goOn of this.#waiting) goOn()
    this.#waiting.clear()
  }
}

/**
 * @internal The share of one request to an I/O thread. A request that is joined to it counts like one of its own,
 * because its caller waits.
 */
export class Counted {
  #requests = 0
  #bytes = 0

  constructor(readonly inFlight: InFlight) {}

  add(requests: number, bytes: number): void {
    this.#requests += requests
    this.#bytes += bytes
    this.inFlight.add(requests, bytes)
  }

  end(): void {
    this.inFlight.remove(this.#requests, this.#bytes)
  }
}
