import { workerFailed } from './messages.js'
import { PoolWorker } from './pool-worker.js'
import type { CheckedPool } from './reactor-pool-options.js'
import type { WorkerExit } from './worker-channel.js'

/** @internal What the supervisor notifies its pool of. */
export interface SupervisorOwner {
  /** It has started: give it what it serves, and call `place` then. */
  equip(worker: PoolWorker, place: () => void): Promise<void>
  /** It is told to drain now, and its successor serves: what else it accepts from is others'. */
  leaving(worker: PoolWorker): void
  /** It has ended without having been told to. */
  crashed(worker: PoolWorker, how: WorkerExit): void
  message(value: unknown, index: number): void
  /** A worker can take more connections than it could before. */
  room(): void
}

const FIRST_BACKOFF_MS = 100
const LAST_BACKOFF_MS = 10_000
/** Who has lived so long begins anew with the first. */
const SETTLED_MS = 10_000

/** A place for one worker at a time, or two while one takes over from the other. */
interface Place {
  readonly index: number
  serving: PoolWorker | undefined
  /** One is about to take this place. */
  bringing: Promise<void> | undefined
  failures: number
  timer: NodeJS.Timeout | undefined
}

/** @internal The workers of a pool: it starts them, again after a crash, and one after the other in a rolling restart. */
export class Supervisor {
  readonly #options: CheckedPool
  readonly #owner: SupervisorOwner
  readonly #places: Place[]
  /** All that have not ended. */
  readonly #alive = new Set<PoolWorker>()
  /** Crashes, and workers that took the place of another. */
  crashes = 0
  restarts = 0
  #ending = false

  constructor(options: CheckedPool, owner: SupervisorOwner) {
    this.#options = options
    this.#owner = owner
    this.#places = Array.from({ length: options.size }, (_, index) => {
      return { index, serving: undefined, bringing: undefined, failures: 0, timer: undefined }
    })
  }

  /** Who serves, at their places. */
  get serving(): readonly (PoolWorker | undefined)[] {
    return this.#places.map(({ serving }) => serving)
  }

  /** Also those that drain, or have just been started. */
  get alive(): ReadonlySet<PoolWorker> {
    return this.#alive
  }

  /** Starts all of them; rejects with the first failure. */
  async start(): Promise<void> {
    await Promise.all(this.#places.map((place) => this.#bring(place)))
  }

  /** One after the other: its successor first, then it drains. Rejects if a successor can't start, with the rest as it was. */
  async restart(timeoutMs: number): Promise<{ drained: number; cut: number }> {
    const total = { drained: 0, cut: 0 }
    for (const place of this.#places) {
      await place.bringing?.catch(() => {})
      if (this.#ending) break
      clearTimeout(place.timer)
      place.timer = undefined
      const before = place.serving
      try {
        await this.#bring(place)
      } catch (error) {
        if (this.#ending) break
        if (place.serving === undefined) this.#bringLater(place)
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

  /** Nobody is started any more. */
  stop(): void {
    this.#ending = true
    for (const { timer } of this.#places) clearTimeout(timer)
  }

  /** Lets all drain and end; those whose `setup` has yet to return are killed. */
  async end(timeoutMs: number): Promise<{ drained: number; cut: number }> {
    this.stop()
    const results = [...this.#alive].map(async (worker) => {
      // Also one that only takes over: it may accept already. And one that drains for a restart, by this deadline now.
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

  #bring(place: Place): Promise<void> {
    place.bringing = this.#startAt(place).finally(() => {
      place.bringing = undefined
    })
    return place.bringing
  }

  async #startAt(place: Place): Promise<void> {
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
    // One that had yet to begin is the affair of whoever started it.
    if (served && place.bringing === undefined) {
      if (performance.now() - worker.since >= SETTLED_MS) place.failures = 0
      this.#bringLater(place)
    }
    this.#owner.crashed(worker, how)
  }

  #bringLater(place: Place): void {
    if (this.#ending) return
    const ms = Math.min(FIRST_BACKOFF_MS * 2 ** place.failures++, LAST_BACKOFF_MS)
    place.timer = setTimeout(() => {
      place.timer = undefined
      this.#bring(place).then(
        () => this.restarts++,
        () => {
          this.#bringLater(place)
        },
      )
    }, ms)
  }
}
