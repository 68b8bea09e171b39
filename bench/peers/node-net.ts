import { createServer, type Socket } from 'node:net'
import { promisify } from 'node:util'
import split2 from 'split2'
import { Control, modeFromArguments, print } from './control.js'

/** A `node:net` peer, written to save memory and time: without a closure per connection. */

interface StoringSocket extends Socket {
  peer?: { number: number }
}

function ignore(): void {}

function echo(this: Socket, chunk: Buffer): void {
  if (!this.write(chunk)) this.pause()
}

function resume(this: Socket): void {
  this.resume()
}

/** A usual splitter. `find` returns the end of the first message, or 0 if it is incomplete. */
function split(socket: Socket, find: (bytes: Buffer) => number, answer: (message: Buffer) => void): void {
  let pending: Buffer | undefined
  socket.on('error', ignore).on('drain', resume)
  socket.on('data', (chunk: Buffer) => {
    let bytes = pending === undefined ? chunk : Buffer.concat([pending, chunk])
    for (let end = find(bytes); end > 0; end = find(bytes)) {
      answer(bytes.subarray(0, end))
      bytes = bytes.subarray(end)
    }
    pending = bytes.length > 0 ? bytes : undefined
  })
}

function endOfLine(bytes: Buffer): number {
  return bytes.indexOf(10) + 1
}

function endOfMessage(bytes: Buffer): number {
  if (bytes.length < 4) return 0
  const end = 4 + bytes.readUInt32BE(0)
  return end <= bytes.length ? end : 0
}

let stored = 0

const handlers = {
  echo(socket: Socket): void {
    socket.on('error', ignore).on('data', echo).on('drain', resume)
    control.opened()
  },
  // The minimum of a server: without 'error' a reset ends the process, and without reading no close is noticed.
  idle(socket: Socket): void {
    socket.on('error', ignore).resume()
  },
  // Messages include their length or line feed, which saves a concatenation, or a second write.
  lines(socket: Socket): void {
    if (process.argv[3] === 'split2') {
      const lines = socket.on('error', ignore).pipe(split2())
      lines.on('data', (line: string) => {
        if (!socket.write(`${line}\n`)) lines.pause()
      })
      socket.on('drain', () => lines.resume())
      return
    }
    split(socket, endOfLine, (line) => {
      if (!socket.write(line)) socket.pause()
    })
  },
  prefixed(socket: Socket): void {
    split(socket, endOfMessage, (message) => {
      if (!socket.write(message)) socket.pause()
    })
  },
  store(socket: StoringSocket): void {
    socket.peer = { number: stored++ }
    socket.on('error', ignore).resume()
  },
}

const server = createServer({ noDelay: true }, handlers[modeFromArguments()])
const control = new Control(
  () => promisify(server.getConnections.bind(server))(),
  () => globalThis.gc?.(),
)
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') print({ event: 'listening', port: address.port })
})
