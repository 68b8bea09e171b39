// A chat room: each line goes to everyone else. `conn.data` holds what is ours of a connection.
//   node examples/chat.mjs          then, in two terminals: nc localhost 7000
import { Reactor } from 'c1m'

/** @typedef {{ name: string, rest: string }} Guest */

const reactor = new Reactor({ maxConnections: 10_000 })

/** @param {string} line @param {import('c1m').ConnectionId} [from] */
function tellAll(line, from) {
  for (const [id, conn] of reactor.connections) if (id !== from) conn.write(line)
}

/** @type {import('c1m').Handlers<Guest>} */
const handlers = {
  open(conn) {
    conn.data = { name: `guest ${conn.remotePort}`, rest: '' }
    conn.write('welcome\n')
    tellAll(`${conn.data.name} joined\n`, conn.id)
  },
  data(conn, chunk) {
    const lines = (conn.data.rest + chunk.toString()).split('\n')
    conn.data.rest = lines.pop() ?? ''
    for (const line of lines) tellAll(`${conn.data.name}: ${line}\n`, conn.id)
  },
  timeout(conn) {
    // The second time our FIN has gone, and the peer doesn't answer it.
    if (!conn.end('you seem to sleep\n')) conn.destroy()
  },
  close(conn) {
    tellAll(`${conn.data.name} left\n`, conn.id)
  },
}

const listener = await reactor.listen({ port: Number(process.env.PORT ?? 7000), idleTimeoutMs: 300_000 }, handlers)
process.once('SIGINT', () => reactor.shutdown({ timeoutMs: 1000 }))
console.log('listening on', listener.port)
