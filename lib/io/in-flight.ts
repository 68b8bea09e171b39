import { C1mError } from '../base/errors.js'

/**
 * What waits for the I/O threads, beyond which no more events are delivered: requests, also to connect, bytes of broadcasts, and
 * batches of commands that are not carried out. A request costs JavaScript up to 2 KB, so that these are 2 MB, 32 MiB, and 11 MB.
 */
export const MAX_REQUESTS = 1024
const MAX_BYTES = 32 * 1024 * 1024
export const MAX_COMMAND_BATCHES = 32
/**
 * What only a caller comes to that nothing holds back, such as a timer: a handler that asks for one thing for each byte of the
 * largest chunk adds a quarter of these requests.
 */
const LIMIT_REQUESTS = 256 * 1024
const LIMIT_BYTES = 512 * 1024 * 1024

/** @internal Throws if so many attempts to connect are under way that one more is too much. */
export function checkAttempts(underWay: number): void {
  if (underWay < LIMIT_REQUESTS) return
  throw new C1mError('ERR_C1M_TOO_MUCH_IN_FLIGHT', `${underWay} attempts to connect are under way`)
}

/**
 * @internal What a reactor has asked of its I/O threads that only they have to do: nothing in it waits for a peer, a disk, or an
 * event that JavaScript has yet to take. Beyond a bound `full` says that events are to be held back. The batches then stay
 * where they are, the I/O threads stop reading for want of them, and TCP holds back the peers: whatever they send, and
 * whatever handlers do with it, memory is bounded by this and by what the handler that runs adds to it.
 *
 * ```text
 *   handlers ─── add ──▶ in flight ─── an I/O thread has done it ──▶ remove ──▶ half of it left: events are delivered again
 * ```
 *
 * It always ends: answers come by themselves, not with events.
 */
export class InFlight {
  full = false
  #requests = 0
  #bytes = 0
  #fences = 0
  /** Of threads whose commands pile up: asks for an answer behind them. */
  readonly #behind = new Set<(passed: () => void) => void>()
  /** Who is to go on with its events. */
  readonly #waiting = new Set<() => void>()

  /** Throws if there is as much as there may ever be. */
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

  /** They have their answer. */
  remove(requests: number, bytes: number): void {
    this.#requests -= requests
    this.#bytes -= bytes
    this.#resume()
  }

  /** As many commands, or attempts to connect, as may be have been given to a thread. `fence` asks for an answer behind them. */
  behind(fence: (passed: () => void) => void): void {
    this.#behind.add(fence)
    this.full = true
  }

  /** Somebody holds back events; `goOn` is called when it may deliver them. */
  holdBack(goOn: () => void): void {
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
    // Of those who came after the last hold(): another thread's, whose events are held back, may come to no other.
    if (this.#waiting.size > 0) this.#ask()
    if (this.#fences > 0 || this.#behind.size > 0) return
    this.full = false
    for (const goOn of this.#waiting) goOn()
    this.#waiting.clear()
  }
}

/** @internal What one request to an I/O thread counts for. What is joined to it counts as if it were by itself, as its callers wait. */
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
