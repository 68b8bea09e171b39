/** The max number of the user's messages in flight to a thread or process whose JS thread is busy, and takes none. */
const MAX_IN_FLIGHT = 10_000

/**
 * @internal The user's messages in one direction between a pool and a worker: the number in flight is limited, because
 * each of them is in memory until the receiver takes it. The receiver reports now and then how many it has taken since
 * its start.
 *
 * ```text
 *   taken ≤ sent ≤ taken + MAX_IN_FLIGHT
 * ```
 */
export class MessageWindow {
  #sent = 0
  #taken = 0

  /** Calls `post` if there is room for a message; returns false if not. If `post` throws, the message isn't counted. */
  send(post: () => void): boolean {
    if (this.#sent - this.#taken >= MAX_IN_FLIGHT) return false
    post()
    this.#sent++
    return true
  }

  /** Notes how many messages the receiver has taken since its start. */
  update(taken: number): void {
    this.#taken = taken
  }
}
