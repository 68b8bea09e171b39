import { workerFailed } from './messages.js'
import { PoolWorker } from './pool-worker.js'
import type { CheckedPool } from './reactor-pool-options.js'
import type { WorkerExit } from './worker-channel.js'

/** @internal The events of which the supervisor notifies its pool. */
export interface SupervisorOwner {
  /** Gives a worker that has started its listeners, and then calls `place`. */
  equip(worker: PoolWorker, place: () => void): Promise<void>
  /**
   * Called when the worker is instructed to drain and its successor serves: other workers accept from its remaining
   * sockets.
   */
  leaving(worker: PoolWorker): void
  /** Called when a worker has ended without having been instructed to. */
  crashed(worker: PoolWorker, how: WorkerExit): void
  message(value: unknown, index: number): void
  /** Called when a worker can take more connections than before. */
  room(): void
}

const FIRST_BACKOFF_MS = 100
const LAST_BACKOFF_MS = 10_000
/** The lifetime after which a worker's crash restarts the back-off at its first value. */
const STABLE_MS = 10_000

/** A place for one worker at a time, or for two while one takes over from the other. */
interface Place {
  readonly index: number
  serving: PoolWorker | undefined
  /** Set while a worker is being started for this place. */
  starting: Promise<void> | undefined
  failures: number
  timer: NodeJS.Timeout | undefined
}

/**
 * @internal The workers of a pool: the supervisor starts them, again after a crash, and one after the other in a
 * rolling restart.
 */
export class Supervisor {
  readonly #options: CheckedPool
  readonly #owner: SupervisorOwner
  readonly #places: Place[]
  /** All workers that have not ended. */
  readonly #alive = new Set<PoolWorker>()
  /** The number of crashes, and of workers that took the place of another. */
  crashes = 0
  restarts = 0
  #ending = false

  constructor(options: CheckedPool, owner: SupervisorOwner) {
    this.#options = options
    this.#owner = owner
    this.#places = Array.from({ length: options.size }, (_, index) => {
      return { index, serving: undefined, starting: undefined, failures: 0, timer: undefined }
    })
  }

  /** The workers that serve, at their places. */
  get serving(): readonly (PoolWorker | undefined)[] {
    return this.#places.map(({ serving }) => serving)
  }

  /** All workers that have not ended, including those that drain or have just been started. */
  get alive(): ReadonlySet<PoolWorker> {
    return this.#alive
  }

  /** Starts all of them; rejects with the first failure. */
  async start(): Promise<void> {
    await Promise.all(this.#places.map((place) => this.#startAt(place)))
  }

  /**
   * Replaces one worker after the other: its successor starts first, then it drains. Rejects if a successor can't
   * start, with the rest as it was.
   */
  async restart(timeoutMs: number): Promise<{ drained: number; cut: number }> {
    const total = { drained: 0, cut: 0 }
    for (const place of this.#places) {
      await place.starting?.catch(() => {})
      if (this.#ending) break
      clearTimeout(place.timer)
      place.timer = undefined
      const before = place.serving
      try {
        await this.#startAt(place)
      } catch (error) {
        if (this.#ending) break
        if (place.serving === undefined) this.#startLater(place)
        throw error
      }
      this.restarts++
      if (before === undefined || !this.#alive.has(before)) continue
      this.#owner.leaving(before)
      const { drained, cut } = await before.drain(timeoutMs)
      total.drained += drained
      total.cut += cut
    }
    return total
  }

  /** Stops starting workers. */
  stop(): void {
    this.#ending = true
    for (const { timer } of this.#places) clearTimeout(timer)
  }

  /** Lets all workers drain and end; those whose `setup` has not returned are killed. */
  async end(timeoutMs: number): Promise<{ drained: number; cut: number }> {
    this.stop()
    const results = [...this.#alive].map(async (worker) => {
      // This includes a worker that is taking over, because it may accept already; and one that drains for a restart,
      // which gets this deadline.
      if (worker.started) return worker.drain(timeoutMs)
      worker.kill()
      await worker.exited
      return { drained: 0, cut: 0 }
    })
    const total = { drained: 0, cut: 0 }
    for (const { drained, cut } of await Promise.all(results)) {
      total.drained += drained
      total.cut += cut
    }
    return total
  }

  #startAt(place: Place): Promise<void> {
    place.starting = this.#startWorker(place).finally(() => {
      place.starting = undefined
    })
    return place.starting
  }

  async #startWorker(place: Place): Promise<void> {
    const worker = new PoolWorker(place.index, this.#options, {
      message: (value) => this.#owner.message(value, place.index),
      room: () => this.#owner.room(),
    })
    this.#alive.add(worker)
    void worker.exited.then((how) => this.#gone(place, worker, how))
    try {
      await worker.ready
      await this.#owner.equip(worker, () => {
        if (this.#alive.has(worker)) place.serving = worker
      })
    } catch (error) {
      if (this.#alive.has(worker)) worker.kill()
      throw error
    }
    if (place.serving !== worker) throw workerFailed(place.index, 'has ended')
  }

  #gone(place: Place, worker: PoolWorker, how: WorkerExit): void {
    this.#alive.delete(worker)
    const served = place.serving === worker
    if (served) place.serving = undefined
    if (worker.ending || this.#ending) return
    this.crashes++
    // A worker that had not begun to serve is handled by the code that started it.
    if (served && place.starting === undefined) {
      if (performance.now() - worker.since >= STABLE_MS) place.failures = 0
      this.#startLater(place)
    }
    this.#owner.crashed(worker, how)
  }

  #startLater(place: Place): void {
    if (this.#ending) return
    const ms = Math.min(FIRST_BACKOFF_MS * 2 ** place.failures++, LAST_BACKOFF_MS)
    place.timer = setTimeout(() => {
      place.timer = undefined
      this.#startAt(place).then(
        () => this.restarts++,
        () => {
          this.#startLater(place)
        },
      )
    }, ms)
  }
}
