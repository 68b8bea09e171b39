import { connect, type Socket } from 'node:net'

/** An attack of hostile peers, and its max cost: the bounds are those of docs/guarantees.md. */
export interface Attack {
  readonly service: string
  /** Attacks until `stopped()` returns true. Resolves with the number of its connections, open or made. */
  run(port: number, stopped: () => boolean): Promise<number>
  /** The max memory for each of its connections, in addition to that of the idle server. */
  readonly bytesEach: number
  /** The max memory for the attack as a whole: buffers of the reactor, and memory that V8 keeps. */
  readonly bytesInAll: number
}

const MIB = 1 << 20
/** The memory of batches in flight, slabs and V8's young generation under load. */
const BASE = 96 * MIB

const sockets = new Set<Socket>()
/** The number of resets, each of which comes in the next state of a cycle. */
let resets = 0

function open(port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    sockets.add(socket)
    socket.on('error', () => resolve(socket)).on('connect', () => resolve(socket))
    socket.on('close', () => sockets.delete(socket))
  })
}

const openMany = (port: number, count: number) => Promise.all(Array.from({ length: count }, () => open(port)))
const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 1))

/** Writes as fast as the socket takes bytes. */
async function pour(socket: Socket, chunk: Buffer, stopped: () => boolean): Promise<void> {
  while (!stopped() && !socket.destroyed) {
    let taken = socket.write(chunk)
    socket.once('drain', () => {
      taken = true
    })
    // A server that stops reading causes no `drain`, but the attack must end in time.
    while (!taken && !stopped() && !socket.destroyed) await turn()
    socket.removeAllListeners('drain')
    await turn()
  }
}

async function pourAll(all: Socket[], chunk: Buffer, stopped: () => boolean): Promise<number> {
  await Promise.all(all.map((socket) => pour(socket, chunk, stopped)))
  return all.length
}

async function pourAndRead(port: number, count: number, stopped: () => boolean): Promise<number> {
  const all = await openMany(port, count)
  for (const socket of all) socket.resume()
  return pourAll(all, Buffer.alloc(65_536), stopped)
}

/** Calls `one` repeatedly, 20 calls at the same time. Resolves with the number of calls. */
async function churn(stopped: () => boolean, one: () => Promise<void>): Promise<number> {
  let count = 0
  const worker = async () => {
    while (!stopped()) {
      await one()
      count++
    }
  }
  await Promise.all(Array.from({ length: 20 }, worker))
  return count
}

export const attacks: Record<string, Attack> = {
  'a flood, read': {
    service: 'echo',
    run: (port, stopped) => pourAndRead(port, 20, stopped),
    bytesEach: MIB,
    bytesInAll: BASE,
  },
  'a flood, unread': {
    service: 'echo',
    run: async (port, stopped) => pourAll(await openMany(port, 200), Buffer.alloc(65_536), stopped),
    bytesEach: 256 * 1024,
    bytesInAll: BASE,
  },
  'pipelined requests, answers unread': {
    service: 'pipeline',
    run: async (port, stopped) => pourAll(await openMany(port, 50), Buffer.alloc(64), stopped),
    bytesEach: 1.25 * MIB,
    bytesInAll: BASE,
  },
  'a file for each byte, unread': {
    service: 'files',
    run: async (port, stopped) => pourAll(await openMany(port, 50), Buffer.alloc(4096, '\n'), stopped),
    bytesEach: 1.25 * MIB,
    bytesInAll: BASE,
  },
  'a byte read every 50 ms': {
    service: 'echo',
    async run(port, stopped) {
      const all = await openMany(port, 200)
      for (const socket of all) socket.write(Buffer.alloc(1 << 20))
      while (!stopped()) {
        for (const socket of all) socket.read(1)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      return all.length
    },
    bytesEach: 256 * 1024,
    bytesInAll: BASE,
  },
  'half frames': {
    service: 'frames',
    async run(port, stopped) {
      let count = 0
      while (!stopped() && count < 8000) {
        for (const socket of await openMany(port, 100)) {
          // The length of a frame of 900,000 bytes, and 100 of them.
          const half = Buffer.alloc(104)
          half.writeUInt32BE(900_000)
          socket.write(half)
          count++
        }
      }
      while (!stopped()) await turn()
      return count
    },
    bytesEach: 8 * 1024,
    bytesInAll: BASE,
  },
  'empty frames': {
    service: 'frames',
    run: (port, stopped) => pourAndRead(port, 4, stopped),
    bytesEach: MIB,
    bytesInAll: BASE,
  },
  'a line without an end': {
    service: 'lines',
    run: (port, stopped) =>
      churn(stopped, async () => {
        const socket = await open(port)
        await pour(socket, Buffer.alloc(65_536, 'x'), stopped)
      }),
    bytesEach: 0,
    bytesInAll: BASE,
  },
  'line feeds to a chat': {
    service: 'chat',
    async run(port, stopped) {
      // Members that read nothing, one that reads, and one that writes as fast as possible.
      const all = await openMany(port, 50)
      ;(await open(port)).resume()
      await pour(await open(port), Buffer.alloc(65_536, '\n'), stopped)
      return all.length
    },
    bytesEach: 1.25 * MIB,
    bytesInAll: BASE + 64 * MIB,
  },
  'resets in every state': {
    service: 'relay',
    run: (port, stopped) =>
      churn(stopped, async () => {
        const socket = await open(port)
        switch (resets++ % 5) {
          case 0:
            break
          case 1:
            socket.write(Buffer.alloc(100_000))
            break
          case 2:
            socket.write(Buffer.alloc(100_000))
            await turn()
            break
          case 3:
            socket.end('x')
            await turn()
            break
          case 4:
            socket.resume().write(Buffer.alloc(300_000))
            await turn()
        }
        socket.resetAndDestroy()
      }),
    bytesEach: 0,
    bytesInAll: BASE,
  },
  '200 connects at a time, unread, reset': {
    service: 'pipeline',
    async run(port, stopped) {
      let count = 0
      while (!stopped()) {
        for (const socket of await openMany(port, 200)) {
          socket.write('x')
          socket.resetAndDestroy()
          count++
        }
      }
      return count
    },
    bytesEach: 0,
    bytesInAll: BASE,
  },
}

export function closeAll(): void {
  for (const socket of sockets) socket.resetAndDestroy()
}
