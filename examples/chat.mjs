// A chat room: each line goes to all other members. `conn.data` holds the state of a connection.
//   node examples/chat.mjs          then, in two terminals: nc localhost 7000
import { delimited, Reactor } from 'c1m'

/** @typedef {{ name: string }} Guest */

const reactor = new Reactor({ maxConnections: 10_000 })

/** A connection that closes leaves it automatically. @type {import('c1m').Group<Guest>} */
const room = reactor.createGroup()

/** @param {string} text @param {import('c1m').Connection<Guest>} [except] */
const say = (text, except) =>
  room.broadcast(text, { except }).catch((error) => console.log('broadcast failed:', error.message))

/** @type {import('c1m').Handlers<Guest>} */
const handlers = {
  open(conn) {
    conn.data = { name: `guest ${conn.remotePort}` }
    conn.write('welcome\n')
    void say(`${conn.data.name} joined\n`)
    room.add(conn)
  },
  data(conn, line) {
    void say(`${conn.data.name}: ${line}\n`, conn)
  },
  timeout(conn) {
    // A peer that doesn't send its FIN is disconnected after another such period.
    conn.end('idle for too long\n')
  },
  close(conn) {
    void say(`${conn.data.name} left\n`)
  },
}

const listener = await reactor.listen(
  {
    port: Number(process.env.PORT ?? 7000),
    idleTimeoutMs: 300_000,
    // A longer line ends the connection, so that a line without an end takes no more memory.
    framing: delimited('\n', { maxFrameBytes: 4096 }),
    // The max memory for a guest that doesn't read.
    maxWriteQueue: 1024 * 1024,
  },
  handlers,
)
process.once('SIGINT', () => reactor.shutdown({ timeoutMs: 1000 }))
console.log('listening on', listener.port)
