import { LineProcess, type Message, number } from './line-process.js'
import { loadProgram } from './paths.js'

function loadCommand(mode: 'echo' | 'hold' | 'download', port: number, cpu: number | undefined): [string, ...string[]] {
  return [loadProgram, mode, '--port', String(port), '--cpu', String(cpu ?? -1)]
}

export interface EchoShape {
  readonly connections: number
  readonly bytes: number
  /** The number of messages in flight on each connection. */
  readonly depth: number
  /**
   * The format of messages: lines, or four bytes of length in front, both of which `bytes` includes. `depth` messages
   * are
   * sent together, and the next ones when all have come back.
   */
  readonly frames?: 'lines' | 'prefixed'
}

export interface Timing {
  readonly warmupMs: number
  readonly durationMs: number
}

/** Starts the closed loop. It reports `ready`, `measuring`, `measured` and `result`, and ends on its own. */
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
  /** The number of downloads of each connection, one after the other, after one to warm up. */
  readonly downloads: number
}

/** Starts the downloads. The process reports `ready`, waits for a line, reports `result`, and ends on its own. */
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
   * Opens connections as fast as the server accepts them. The reply has the number of `connections`, that of those
   * still
   * `queued` in the accept queue, and the time of the first connect, `firstMicros`.
   */
  tryOpen(count: number, timeoutMs: number): Promise<Message> {
    return this.#process.ask(`open ${count} ${timeoutMs}`, 'opened')
  }

  /** Opens all connections and keeps them, or rejects. */
  async open(count: number): Promise<Message> {
    return allOpened(count, await this.tryOpen(count, openTimeoutMs))
  }

  /** Opens all connections, each of which is closed with a FIN immediately. */
  async churn(count: number): Promise<Message> {
    return allOpened(count, await this.#process.ask(`churn ${count} ${openTimeoutMs}`, 'opened'))
  }

  /** Sends one message on each connection, and waits for the echoes. Resolves with the number of missing ones. */
  async use(bytes: number): Promise<number> {
    return number(await this.#process.ask(`use ${bytes}`, 'used'), 'errors')
  }

  /** Closes all. After FINs it waits for the server's, and resolves with the number of missing ones. */
  async close(how: 'fin' | 'reset'): Promise<number> {
    return number(await this.#process.ask(`close ${how}`, 'closed'), 'errors')
  }

  stop(): Promise<void> {
    return this.#process.stop()
  }
}
