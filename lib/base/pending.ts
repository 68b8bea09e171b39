/** @internal What has been asked of an I/O thread and not been answered. */
export class Pending {
  count = 0
  #onNone: (() => void) | undefined

  add(): void {
    this.count++
  }

  remove(): void {
    if (--this.count === 0) this.#onNone?.()
  }

  /** Resolves when nothing is left. */
  none(): Promise<void> {
    if (this.count === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onNone = resolve
    })
  }
}

/** @internal Connections that change from one I/O thread of a reactor to another. */
export class Moves extends Pending {
  /** A shutdown destroys what is left: none begins any more. */
  stopped = false
}
