import { onClosed } from '../../base/close-hooks.js'
import { beginWork } from '../../base/unfinished.js'
import type { Connection } from '../../connection/connection.js'

/** The share of one connection. */
interface Share<T> {
  tasks: number
  /** True if the connection is paused for its tasks. */
  paused: boolean
  readonly waiting: Set<T>
  /** The last of the promises that settle in order, until it has settled. */
  last: Promise<unknown> | undefined
  forget: () => void
}

/**
 * @internal The tasks of each connection. Their number decides whether it is read; those that wait are cancelled when
 * it closes; and their results may have to settle in order.
 */
export class Shares<T extends object> {
  readonly #limit: number
  readonly #cancel: (task: T) => void
  readonly #shares = new Map<Connection<never>, Share<T>>()
  readonly #endWork = new WeakMap<T, () => void>()
  /** The number of connections that are paused now. */
  paused = 0

  /** `cancel` is called for each waiting task of a connection that has closed. */
  constructor(limit: number, cancel: (task: T) => void) {
    this.#limit = limit
    this.#cancel = cancel
  }

  /** Adds a task that waits. */
  add(conn: Connection<never>, task: T): void {
    const share = this.#shareOf(conn)
    share.tasks++
    share.waiting.add(task)
    this.#endWork.set(task, beginWork(conn))
  }

  /** Notes that a worker has the task. */
  begun(conn: Connection<never>, task: T): void {
    this.#shares.get(conn)?.waiting.delete(task)
  }

  /** Removes a task that has ended. With `filling` its connection isn't resumed. */
  remove(conn: Connection<never>, task: T, filling: boolean): void {
    this.#endWork.get(task)?.()
    const share = this.#shares.get(conn)
    if (share === undefined) return
    share.waiting.delete(task)
    share.tasks--
    if (share.paused && !filling && share.tasks <= this.#limit / 2) this.#resume(conn, share)
    this.#forgetIdle(conn, share)
  }

  /** Pauses the connection if it has used its share, or the queue fills up. */
  pauseIfFull(conn: Connection<never>, filling: boolean): void {
    if (filling || (this.#shares.get(conn)?.tasks ?? 0) >= this.#limit) this.pause(conn)
  }

  /** Pauses the connection until the queue has room again. */
  pause(conn: Connection<never>): void {
    const share = this.#shareOf(conn)
    if (share.paused) return
    share.paused = true
    this.paused++
    conn.pauseForPool(true)
  }

  /** Resumes connections when the queue has room again. */
  resumePaused(): void {
    for (const [conn, share] of this.#shares) {
      if (!share.paused || share.tasks > this.#limit / 2) continue
      this.#resume(conn, share)
      this.#forgetIdle(conn, share)
    }
  }

  /** Settles as `own` does, and after all earlier ones that were put in order. */
  inOrder<R>(conn: Connection<never>, own: Promise<R>): Promise<R> {
    const share = this.#shareOf(conn)
    const endWork = beginWork(conn)
    const result = (share.last ?? Promise.resolve()).then(() => own)
    own.catch(() => {})
    // The next one waits for this one, whatever its result.
    const settled = () => {
      endWork()
      if (share.last !== last) return
      share.last = undefined
      this.#forgetIdle(conn, share)
    }
    const last: Promise<void> = result.then(settled, settled)
    share.last = last
    return result
  }

  #shareOf(conn: Connection<never>): Share<T> {
    let share = this.#shares.get(conn)
    if (share === undefined) {
      share = { tasks: 0, paused: false, waiting: new Set(), last: undefined, forget: () => {} }
      share.forget = onClosed(conn, () => this.#connectionClosed(conn))
      this.#shares.set(conn, share)
    }
    return share
  }

  /** Forgets a connection without tasks, unless it is paused, or one of its results must still settle in order. */
  #forgetIdle(conn: Connection<never>, share: Share<T>): void {
    if (share.tasks > 0 || share.paused || share.last !== undefined) return
    share.forget()
    if (this.#shares.get(conn) === share) this.#shares.delete(conn)
  }

  #connectionClosed(conn: Connection<never>): void {
    const share = this.#shares.get(conn)
    if (share === undefined) return
    if (share.paused) this.paused--
    share.paused = false
    for (const task of [...share.waiting]) this.#cancel(task)
    this.#forgetIdle(conn, share)
  }

  #resume(conn: Connection<never>, share: Share<T>): void {
    share.paused = false
    this.paused--
    conn.pauseForPool(false)
  }
}
