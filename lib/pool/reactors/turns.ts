/** @internal Operations on each of several things, one at a time for each, in the order in which they are asked for. */
export class Turns<K> {
  readonly #last = new Map<K, Promise<unknown>>()

  /**
   * Runs the operation when all earlier ones of this thing have settled, whatever their results; settles as it does.
   */
  take<R>(thing: K, operation: () => Promise<R>): Promise<R> {
    const before = this.#last.get(thing)
    const own = before === undefined ? operation() : before.then(operation)
    const forget = () => {
      if (this.#last.get(thing) === settled) this.#last.delete(thing)
    }
    const settled: Promise<void> = own.then(forget, forget)
    this.#last.set(thing, settled)
    return own
  }
}
