// The Bun.listen peer: `bun bun.js <mode>`. Bun compiles control.ts itself.
import { Control, modeFromArguments, print } from './control.ts'

let connections = 0
let stored = 0

// Echoes a chunk. Bun's write() returns the number of bytes that the socket has taken; the caller must keep the rest.
// While there is a rest, the socket isn't read.
function echo(socket, chunk) {
  const written = socket.write(chunk)
  if (written < chunk.length) {
    socket.data = chunk.subarray(Math.max(written, 0))
    socket.pause()
  }
}

function drain(socket) {
  const rest = socket.data
  if (rest === undefined) return
  const written = Math.max(socket.write(rest), 0)
  socket.data = written < rest.length ? rest.subarray(written) : undefined
  if (socket.data === undefined) socket.resume()
}

const handlers = {
  echo: {
    open() {
      connections++
      control.opened()
    },
    data: echo,
    drain,
  },
  idle: { open: () => connections++, data() {} },
  store: {
    open(socket) {
      connections++
      socket.data = { number: stored++ }
    },
    data() {},
  },
}

const control = new Control(
  () => connections,
  () => Bun.gc(true),
)
const listener = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  socket: { ...handlers[modeFromArguments()], close: () => connections--, error() {} },
})
print({ event: 'listening', port: listener.port })
