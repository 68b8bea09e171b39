import { createInterface } from 'node:readline'

/** Prints one JSON line, which the harness waits for. */
export function print(message: { event: string; [key: string]: number | string }): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

/** The clock that Node, Bun and the load generator have in common, in microseconds since 1970. */
function wallClockMicros(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000)
}

/** The number of collections of `gc`: finalizers of the first one release memory that the next ones find. */
const collections = 3

/**
 * Executes a peer's commands, lines on stdin, and replies to each with one JSON line:
 *
 * - `gc`: collects garbage; replies `gc`
 * - `stats`: replies `stats` with the number of open connections
 * - `expect N`: replies `expecting`, and `expected` with the time when the Nth connection from now has opened
 * - `block MS`: blocks the JS thread for that time; replies `unblocked`
 * - `quit`: exits, as does the end of stdin
 */
export class Control {
  #opened = 0
  #expected = 0

  constructor(
    private readonly connections: () => number | Promise<number>,
    private readonly collect: () => void,
  ) {
    createInterface({ input: process.stdin })
      .on('line', (line) => void this.#obey(line))
      .on('close', () => process.exit(0))
  }

  /** Must be called by the server for each connection that opens. */
  opened(): void {
    if (++this.#opened === this.#expected) {
      print({ event: 'expected', opened: this.#opened, atMicros: wallClockMicros() })
    }
  }

  async #obey(line: string): Promise<void> {
    const [command, argument] = line.split(' ')
    if (command === 'gc') this.#collectRepeatedly(collections)
    else if (command === 'stats') print({ event: 'stats', connections: await this.connections() })
    else if (command === 'expect') this.#expect(Number(argument))
    else if (command === 'block') this.#block(Number(argument))
    else if (command === 'quit') process.exit(0)
  }

  #collectRepeatedly(times: number): void {
    if (times === 0) return print({ event: 'gc' })
    this.collect()
    setTimeout(() => this.#collectRepeatedly(times - 1), 20)
  }

  #expect(count: number): void {
    this.#opened = 0
    this.#expected = count
    print({ event: 'expecting' })
  }

  #block(ms: number): void {
    const end = performance.now() + ms
    while (performance.now() < end);
    print({ event: 'unblocked' })
  }
}

/**
 * The mode of a peer: an `echo` server, one that does nothing with its connections (`idle`), one that keeps an object
 * with each (`store`), or one that replies to each line (`lines`), or each message with four bytes of length in front
 * (`prefixed`), separately.
 */
export type Mode = 'echo' | 'idle' | 'store' | 'lines' | 'prefixed'

export function modeFromArguments(): Mode {
  return process.argv[2] as Mode
}
