import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { type Handlers, Reactor } from 'c1m'
import { Control, print } from './control.js'

/**
 * An `http.Server` whose connections are upgraded: `upgrade.js held` keeps them as `net.Socket`s, with the handlers
 * that
 * they need; `upgrade.js moved` adopts them into a reactor.
 */

const ANSWER = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n'

const reactor = new Reactor()
const handlers: Handlers = {
  data(conn, chunk) {
    conn.write(chunk)
  },
}

const sockets = new Set<Socket>()

function echo(this: Socket, chunk: Buffer): void {
  this.write(chunk)
}

function ignore(): void {}

function forget(this: Socket): void {
  sockets.delete(this)
}

// Ends the socket, because http allows half-open ones.
function end(this: Socket): void {
  this.end()
}

function hold(socket: Socket): void {
  sockets.add(socket)
  socket.on('error', ignore).on('close', forget).on('end', end).on('data', echo)
}

const moves = process.argv[2] === 'moved'
const server = createServer()
server.on('upgrade', (_request, socket, head) => {
  socket.write(ANSWER)
  if (moves) void reactor.adopt(socket as Socket, handlers, { head })
  else hold(socket as Socket)
})
new Control(
  () => (moves ? reactor.connections.size : sockets.size),
  () => globalThis.gc?.(),
)
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') print({ event: 'listening', port: address.port })
})
