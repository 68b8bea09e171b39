import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { print } from './control.js'

/** `node-net-file.js DIRECTORY`: replies to GET /NAME by `pipeline()` of a read stream, to GET /echo from memory. */

const directory = process.argv[2] as string

const ECHO = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho'

async function answer(socket: Socket, request: string): Promise<void> {
  if (request.startsWith('GET /echo ')) return void socket.write(ECHO)
  const path = join(directory, request.slice(5, request.indexOf(' ', 5)))
  const { size } = await stat(path)
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
  await pipeline(createReadStream(path), socket, { end: false })
}

const server = createServer({ noDelay: true }, (socket) => {
  socket.setMaxListeners(0).on('error', () => {})
  socket.on('data', (chunk) => void answer(socket, chunk.toString('latin1')).catch(() => socket.destroy()))
})
process.stdin.on('end', () => process.exit(0)).resume()
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') print({ event: 'listening', port: address.port })
})
