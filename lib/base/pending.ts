/** @internal Counts the requests to an I/O thread that have no reply yet. */
export class Pending {
  count = 0
  #onNone: (() => void) | undefined

  add(): void {
    this.count++
  }

  remove(): void {
    if (--this.count === 0) this.#onNone?.()
  }

  /** Resolves when the count is 0. */
  none(): Promise<void> {
    if (this.count === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onNone = resolve
    })
  }
}

/** @internal Counts the connections that are being moved between I/O threads of a reactor. */
export class Moves extends Pending {
  /** True once no further move may begin: a shutdown destroys the remaining connections. */
  stopped = false
}
