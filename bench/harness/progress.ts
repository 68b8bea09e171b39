/** Shows the present step: one line that is overwritten on a terminal, plain lines in a pipe. */
export class Progress {
  #total = 0
  #done = 0
  readonly #start = performance.now()

  /** Begins a part with this number of steps. */
  begin(steps: number): void {
    this.#total = steps
    this.#done = 0
  }

  step(what: string): void {
    const seconds = Math.round((performance.now() - this.#start) / 1000)
    const text = `[${String(++this.#done).padStart(String(this.#total).length)}/${this.#total}] ${seconds} s  ${what}`
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${text.slice(0, process.stdout.columns - 1)}`)
    else process.stdout.write(`${text}\n`)
  }

  /** Clears the line, so that a result can be printed. */
  clear(): void {
    if (process.stdout.isTTY) process.stdout.write('\r\x1b[K')
  }
}
