import { connect } from 'node:net'

/** Sends pseudo-random bytes over several connections, compares the echo, and prints the number of right bytes. */
const [host, port] = [process.argv[2] as string, Number(process.argv[3])]
const CONNECTIONS = 10
const BYTES = 300_000

function exchange(number: number): Promise<number> {
  return new Promise((resolve) => {
    const bytes = Buffer.alloc(BYTES)
    for (let i = 0, state = number + 1; i < BYTES; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      bytes[i] = state >>> 16
    }
    const chunks: Buffer[] = []
    const socket = connect({ host, port }, () => socket.end(bytes))
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => {})
    socket.on('close', () => resolve(Buffer.concat(chunks).equals(bytes) ? BYTES : 0))
  })
}

void Promise.all(Array.from({ length: CONNECTIONS }, (_, number) => exchange(number))).then((right) => {
  console.log(JSON.stringify({ right: right.reduce((sum, one) => sum + one, 0), of: CONNECTIONS * BYTES }))
})
