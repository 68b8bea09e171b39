import { type AddressInfo, createServer, type Socket } from 'node:net'
import { obeyBroadcasts } from './broadcast-control.js'
import { print } from './control.js'

/** The `node:net` peer of the broadcast benchmark: a set of sockets, and a loop of `socket.write`. */

const crowd = new Set<Socket>()

function listen(onSocket: (socket: Socket) => void): Promise<number> {
  const server = createServer({ noDelay: true }, onSocket)
  return new Promise((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => resolve((server.address() as AddressInfo).port))
  })
}

function ignore(): void {}

function leave(this: Socket): void {
  crowd.delete(this)
}

async function main(): Promise<void> {
  const port = await listen((socket) => {
    crowd.add(socket)
    socket.on('error', ignore).on('close', leave).resume()
  })
  const echoPort = await listen((socket) => {
    socket.on('error', ignore).on('data', (chunk) => socket.write(chunk))
  })
  print({ event: 'listening', port, echoPort })
}

obeyBroadcasts(
  () => crowd.size,
  async (payload) => {
    for (const socket of crowd) socket.write(payload)
    // The kernel has taken bytes; this turn runs the callbacks of queued ones, and other connections.
    await new Promise(setImmediate)
    return { errors: 0 }
  },
)
void main()
