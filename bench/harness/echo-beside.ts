import { createConnection, type Socket } from 'node:net'

/** A request to which every file server replies from memory. */
const REQUEST = 'GET /echo HTTP/1.1\r\nHost: bench\r\n\r\n'
const BODY_BYTES = 4

/** Measures how long small requests over a connection of their own take, each sent when the last reply has come. */
export class EchoBeside {
  readonly #socket: Socket
  readonly #took: number[] = []
  #sentAt = 0
  #received = ''
  #stopped = false

  constructor(port: number) {
    this.#socket = createConnection({ host: '127.0.0.1', port, noDelay: true })
    this.#socket.setEncoding('latin1')
    this.#socket.on('connect', () => this.#ask())
    this.#socket.on('data', (text: string) => this.#take(text))
    this.#socket.on('error', () => {})
  }

  /** Ends the measurement. Returns the 50th and the 99th percentile in milliseconds; NaN without a reply. */
  stop(): { p50Ms: number; p99Ms: number } {
    this.#stopped = true
    this.#socket.destroy()
    const sorted = this.#took.sort((a, b) => a - b)
    const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
    return { p50Ms: at(0.5), p99Ms: at(0.99) }
  }

  #ask(): void {
    this.#received = ''
    this.#sentAt = performance.now()
    this.#socket.write(REQUEST)
  }

  #take(text: string): void {
    this.#received += text
    const head = this.#received.indexOf('\r\n\r\n')
    if (this.#stopped || head < 0 || this.#received.length < head + 4 + BODY_BYTES) return
    this.#took.push(performance.now() - this.#sentAt)
    this.#ask()
  }
}
