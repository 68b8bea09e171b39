import { LineProcess, type Message, number } from './line-process.js'
import { loadProgram } from './paths.js'

function loadCommand(mode: 'echo' | 'hold' | 'download', port: number, cpu: number | undefined): [string, ...string[]] {
  return [loadProgram, mode, '--port', String(port), '--cpu', String(cpu ?? -1)]
}

export interface EchoShape {
  readonly connections: number
  readonly bytes: number
  /** Messages under way on each connection. */
  readonly depth: number
  /**
   * Messages are lines, or have their length in front in four bytes; `bytes` counts these, too. `depth` of them are sent
   * together, and the next ones when all have come back.
   */
  readonly frames?: 'lines' | 'prefixed'
}

export interface Timing {
  readonly warmupMs: number
  readonly durationMs: number
}

/** Starts the closed loop. It reports `ready`, `measuring`, `measured` and `result`, and ends by itself. */
export function startEchoLoad(port: number, cpu: number | undefined, shape: EchoShape, timing: Timing): LineProcess {
  const options = {
    '--connections': shape.connections,
    '--bytes': shape.bytes,
    '--depth': shape.depth,
    '--frames': shape.frames === undefined ? 0 : shape.frames === 'lines' ? 1 : 2,
    '--warmup-ms': timing.warmupMs,
    '--duration-ms': timing.durationMs,
  }
  const words = Object.entries(options).flatMap(([name, value]) => [name, String(value)])
  return new LineProcess('load', [...loadCommand('echo', port, cpu), ...words])
}

export interface DownloadShape {
  readonly connections: number
  readonly bytes: number
  /** By each connection, one after the other, after one to warm up. */
  readonly downloads: number
}

/** Starts the downloads. It reports `ready`, waits for a line, reports `result`, and ends by itself. */
export function startDownloads(port: number, cpu: number | undefined, shape: DownloadShape): LineProcess {
  const words = Object.entries(shape).flatMap(([name, value]) => [`--${name}`, String(value)])
  return new LineProcess('load', [...loadCommand('download', port, cpu), ...words])
}

const openTimeoutMs = 30_000

function allOpened(count: number, opened: Message): Message {
  if (number(opened, 'connections') !== count || number(opened, 'queued') !== 0) {
    throw new Error(`not all of ${count} connections were accepted: ${JSON.stringify(opened)}`)
  }
  return opened
}

/** Connections that are opened, held, used and closed on command. */
export class HoldLoad {
  readonly #process: LineProcess

  constructor(port: number, cpu: number | undefined) {
    this.#process = new LineProcess('load', loadCommand('hold', port, cpu))
  }

  /**
   * Opens connections as fast as the server accepts them. In the answer: `connections`, how many of them are still
   * `queued` in the accept queue, and the time of the first connect, `firstMicros`.
   */
  tryOpen(count: number, timeoutMs: number): Promise<Message> {
    return this.#process.ask(`open ${count} ${timeoutMs}`, 'opened')
  }

  /** Opens them all and keeps them, or throws. */
  async open(count: number): Promise<Message> {
    return allOpened(count, await this.tryOpen(count, openTimeoutMs))
  }

  /** Opens them all, each closed with a FIN as soon as it is made. */
  async churn(count: number): Promise<Message> {
    return allOpened(count, await this.#process.ask(`churn ${count} ${openTimeoutMs}`, 'opened'))
  }

  /** Each connection sends one message and gets it echoed. Answers how many did not. */
  async use(bytes: number): Promise<number> {
    return number(await this.#process.ask(`use ${bytes}`, 'used'), 'errors')
  }

  /** Closes all. With FINs it waits for the server's, and answers on how many connections none came. */
  async close(how: 'fin' | 'reset'): Promise<number> {
    return number(await this.#process.ask(`close ${how}`, 'closed'), 'errors')
  }

  stop(): Promise<void> {
    return this.#process.stop()
  }
}
