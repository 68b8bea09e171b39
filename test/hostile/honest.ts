import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** Runs 50 peers that send 64 bytes every 20 ms and wait for their echo. Replies to `report`. */
const [port, host] = [Number(process.argv[2]), process.argv[3] ?? '127.0.0.1']
const PEERS = 50
const EVERY_MS = 20
let latencies: number[] = []
let failed = 0

class Honest {
  #sentAt = 0
  #missing = 0
  readonly #socket: Socket

  constructor() {
    this.#socket = connect({ port, host, noDelay: true })
    this.#socket.on('error', () => failed++)
    this.#socket.on('data', (chunk) => {
      this.#missing -= chunk.length
      if (this.#missing === 0) latencies.push(performance.now() - this.#sentAt)
    })
    this.#socket.on('connect', () => setInterval(() => this.#ask(), EVERY_MS))
  }

  #ask(): void {
    if (this.#missing > 0) return
    this.#sentAt = performance.now()
    this.#missing = 64
    this.#socket.write(Buffer.alloc(64, 'h'))
  }
}

for (let i = 0; i < PEERS; i++) new Honest()
console.log(JSON.stringify('started'))
createInterface({ input: process.stdin })
  .on('line', () => {
    const sorted = latencies.sort((one, other) => one - other)
    const at = (part: number) => sorted[Math.floor(sorted.length * part)] ?? Number.POSITIVE_INFINITY
    console.log(JSON.stringify({ count: sorted.length, failed, p50: at(0.5), p99: at(0.99) }))
    latencies = []
  })
  .on('close', () => process.exit())
