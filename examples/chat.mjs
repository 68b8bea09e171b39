// A chat room: each line goes to everyone else in it. `conn.data` holds what is ours of a connection.
//   node examples/chat.mjs          then, in two terminals: nc localhost 7000
import { Reactor } from 'c1m'

/** @typedef {{ name: string, rest: string }} Guest */

const reactor = new Reactor({ maxConnections: 10_000 })

/** Who closes leaves it by himself. @type {import('c1m').Group<Guest>} */
const room = reactor.createGroup()

/** @type {import('c1m').Handlers<Guest>} */
const handlers = {
  open(conn) {
    conn.data = { name: `guest ${conn.remotePort}`, rest: '' }
    conn.write('welcome\n')
    void room.broadcast(`${conn.data.name} joined\n`)
    room.add(conn)
  },
  data(conn, chunk) {
    const lines = (conn.data.rest + chunk.toString()).split('\n')
    conn.data.rest = lines.pop() ?? ''
    for (const line of lines) void room.broadcast(`${conn.data.name}: ${line}\n`, { except: conn })
  },
  timeout(conn) {
    // A peer that doesn't answer our FIN is cut off when as long has passed again.
    conn.end('you seem to sleep\n')
  },
  close(conn) {
    void room.broadcast(`${conn.data.name} left\n`)
  },
}

const listener = await reactor.listen({ port: Number(process.env.PORT ?? 7000), idleTimeoutMs: 300_000 }, handlers)
process.once('SIGINT', () => reactor.shutdown({ timeoutMs: 1000 }))
console.log('listening on', listener.port)
