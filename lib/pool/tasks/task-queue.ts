/** @internal A queue, first in, first out; cancelled tasks are skipped. Amortised O(1). */
export class TaskQueue<T extends { cancelled: boolean }> {
  #items: (T | undefined)[] = []
  #head = 0
  /** The number of waiting tasks that have not been cancelled. */
  length = 0

  push(item: T): void {
    this.#items.push(item)
    this.length++
  }

  /** Notes that the caller has marked a task as cancelled. */
  cancelled(): void {
    this.length--
    // Cancelled tasks are removed when they come to the front; if there are few others, immediately.
    if (this.#items.length - this.#head > 2 * this.length + 1024) this.#compact()
  }

  shift(): T | undefined {
    while (this.#head < this.#items.length) {
      const item = this.#items[this.#head] as T
      this.#items[this.#head++] = undefined
      if (item.cancelled) continue
      this.length--
      if (this.#head > 1024 && this.#head * 2 > this.#items.length) this.#compact()
      return item
    }
    this.#items = []
    this.#head = 0
    return undefined
  }

  #compact(): void {
    this.#items = this.#items.slice(this.#head).filter((item) => item !== undefined && !item.cancelled)
    this.#head = 0
  }
}
