import { type Connection, delimited, type Framing, type Handlers, lengthPrefixed, Reactor, writeFrame } from 'c1m'
import { Control, type Mode, modeFromArguments, print } from './control.js'

/** The c1m peer: `c1m.js <mode> <edge|level> [I/O threads]`. */

interface Peer {
  number: number
}

let stored = 0

const framings: Partial<Record<Mode, Framing>> = { lines: delimited('\n'), prefixed: lengthPrefixed({ bytes: 4 }) }
const framing = framings[modeFromArguments()]

const frames: Handlers<Peer> = {
  data(conn: Connection<Peer>, frame: Buffer) {
    if (!writeFrame(conn, framing as Framing, frame)) conn.pause()
  },
  drain(conn: Connection<Peer>) {
    conn.resume()
  },
}

const handlers: Record<Mode, Handlers<Peer>> = {
  echo: {
    open() {
      control.opened()
    },
    data(conn: Connection<Peer>, chunk: Buffer) {
      if (!conn.write(chunk)) conn.pause()
    },
    drain(conn: Connection<Peer>) {
      conn.resume()
    },
  },
  idle: {},
  lines: frames,
  prefixed: frames,
  store: {
    open(conn: Connection<Peer>) {
      conn.data = { number: stored++ }
    },
  },
}

const reactor = new Reactor({
  trigger: process.argv[3] === 'level' ? 'level' : 'edge',
  ioThreads: Number(process.argv[4] ?? 1),
})
const control = new Control(
  () => reactor.connections.size,
  () => globalThis.gc?.(),
)

async function main(): Promise<void> {
  const listener = await reactor.listen<Peer>(
    { host: '127.0.0.1', port: 0, noDelay: true, framing },
    handlers[modeFromArguments()],
  )
  const address = listener.address()
  if (typeof address === 'object') print({ event: 'listening', port: address.port })
}

void main()
