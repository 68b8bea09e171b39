import { createServer, type Socket } from 'node:net'
import { promisify } from 'node:util'
import { Control, modeFromArguments, print } from './control.js'

/** A `node:net` peer, written as one writes it when every byte and microsecond counts: no closure per connection. */

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

let stored = 0

const handlers = {
  echo(socket: Socket): void {
    socket.on('error', ignore).on('data', echo).on('drain', resume)
    control.opened()
  },
  // The least that a server needs: without 'error' a reset ends the process, without reading no close is noticed.
  idle(socket: Socket): void {
    socket.on('error', ignore).resume()
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
