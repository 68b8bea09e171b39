import type { Socket } from 'node:net'
import type { PoolWorker } from './pool-worker.js'

/** @internal The instructions that a worker gets about a socket. */
export interface Instructions {
  listen(worker: PoolWorker, holder: Socket | undefined): Promise<unknown>
  unlisten(worker: PoolWorker): Promise<unknown>
}

/**
 * @internal A listening socket that the pool's thread keeps open until the listener closes, so that connections in its
 * queue survive the worker that accepts from it; or, without a holder, a listener whose connections are handed over. It
 * knows which workers accept: a worker gets and executes its instructions in order, so that nothing here waits for a
 * busy one.
 */
export class SharedSocket {
  /** The place of the worker that normally accepts from it. */
  readonly home: number
  /** The worker that accepts from it now. */
  owner: PoolWorker | undefined
  readonly #instructions: Instructions
  /** The socket object that has the descriptor; it is never read. */
  readonly #holder: Socket | undefined
  /** Workers that have been instructed to accept, and not to stop. */
  readonly #accepting = new Set<PoolWorker>()
  /** Instructions without a reply: the descriptor must be open until then. */
  readonly #asked = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  constructor(home: number, holder: Socket | undefined, instructions: Instructions) {
    this.home = home
    this.#holder = holder
    this.#instructions = instructions
  }

  /** Instructs a worker to accept; resolves when it does. Does nothing after `close()`. */
  async give(worker: PoolWorker): Promise<void> {
    if (this.#closed !== undefined) return
    this.#accepting.add(worker)
    // The set must only contain existing workers, even in a pool that crashes and restarts for years.
    void worker.exited.then(() => this.#accepting.delete(worker))
    const instruction = this.#instructions.listen(worker, this.#holder)
    this.#asked.add(instruction)
    try {
      await instruction
    } catch (error) {
      this.#accepting.delete(worker)
      throw error
    } finally {
      this.#asked.delete(instruction)
    }
  }

  /** Instructs a worker to stop; resolves when it has, or has ended. */
  async take(worker: PoolWorker): Promise<void> {
    if (this.#accepting.delete(worker)) await this.#instructions.unlisten(worker).catch(() => {})
  }

  /**
   * Stops all workers; resolves when they have stopped. This thread's descriptor is closed first, so that the last
   * worker closes the socket, after it has accepted from its queue.
   */
  close(): Promise<void> {
    this.#closed ??= this.#asked.size === 0 ? this.#stopAll() : this.#stopLater()
    return this.#closed
  }

  async #stopLater(): Promise<void> {
    await Promise.allSettled(this.#asked)
    await this.#stopAll()
  }

  async #stopAll(): Promise<void> {
    this.#holder?.destroy()
    await Promise.all([...this.#accepting].map((worker) => this.take(worker)))
  }
}
