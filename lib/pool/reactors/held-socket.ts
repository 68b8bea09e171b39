import type { Socket } from 'node:net'
import type { PoolWorker } from './pool-worker.js'

/** @internal What a worker is told of it. */
export interface Instructions {
  listen(worker: PoolWorker, holder: Socket | undefined): Promise<unknown>
  unlisten(worker: PoolWorker): Promise<unknown>
}

/**
 * @internal A listening socket that the pool's thread holds for as long as the listener is there, so that what waits in its
 * queue survives the worker that accepts from it; or, without a holder, what is handed over. It knows whom it has told to
 * accept: what a worker is told reaches it, and is done there, in order, so that nothing here waits for one that is busy.
 */
export class HeldSocket {
  /** The worker whose it is, if all is well. */
  readonly home: number
  /** Who accepts from it now. */
  owner: PoolWorker | undefined
  readonly #instructions: Instructions
  /** Has the descriptor; it is never read. */
  readonly #holder: Socket | undefined
  /** Who has been told to accept, and not to stop. */
  readonly #told = new Set<PoolWorker>()
  /** Those that have yet to answer to that: the descriptor must be open until they have. */
  readonly #asked = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  constructor(home: number, holder: Socket | undefined, instructions: Instructions) {
    this.home = home
    this.#holder = holder
    this.#instructions = instructions
  }

  /** Tells a worker to accept; resolves when it does. After `close()` nobody is told. */
  async give(worker: PoolWorker): Promise<void> {
    if (this.#closed !== undefined) return
    this.#told.add(worker)
    // A pool that crashes and restarts for years is to remember those that there are.
    void worker.exited.then(() => this.#told.delete(worker))
    const asked = this.#instructions.listen(worker, this.#holder)
    this.#asked.add(asked)
    try {
      await asked
    } catch (error) {
      this.#told.delete(worker)
      throw error
    } finally {
      this.#asked.delete(asked)
    }
  }

  /** Tells it to stop; resolves when it has, or has gone. */
  async take(worker: PoolWorker): Promise<void> {
    if (this.#told.delete(worker)) await this.#instructions.unlisten(worker).catch(() => {})
  }

  /**
   * Lets all stop; resolves when they have. This thread's descriptor is closed first, so that the last of them closes the
   * socket, behind what it has accepted from its queue.
   */
  close(): Promise<void> {
    this.#closed ??= this.#asked.size === 0 ? this.#release() : this.#releaseLater()
    return this.#closed
  }

  async #releaseLater(): Promise<void> {
    await Promise.allSettled(this.#asked)
    await this.#release()
  }

  async #release(): Promise<void> {
    this.#holder?.destroy()
    await Promise.all([...this.#told].map((worker) => this.take(worker)))
  }
}
