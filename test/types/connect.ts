import { lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import type { Connection, ConnectOptions, Handlers, Listener, Reactor } from 'c1m'
import { holds, type Same } from './same.js'

// Compiled, and never run: the options and results of connect().

export const connectOptions: ConnectOptions[] = [
  { port: 7000 },
  { host: 'example.com', port: 7000, family: 4, lookup },
  { port: 7000, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 100 },
  { port: 7000, localAddress: '127.0.0.2', localPort: 0, connectTimeoutMs: 1000, signal: AbortSignal.timeout(1000) },
  { path: '/run/app.sock', highWaterMark: 1, maxWriteQueue: 2, read: 'borrowed', allowHalfOpen: true },
  { port: 7000, fastOpen: true, protocol: 'mptcp', noDelay: true, keepAlive: { idleMs: 1000 }, idleTimeoutMs: 1 },
  // @ts-expect-error: a port is a number here
  { port: '7000' },
  // @ts-expect-error: 0, 4 or 6
  { port: 7000, family: 5 },
  // @ts-expect-error: node:net's own name is connectTimeoutMs here
  { port: 7000, timeout: 1000 },
  // @ts-expect-error: an option of listeners
  { port: 7000, deferAcceptMs: 1 },
  // @ts-expect-error: an option of listeners
  { port: 7000, incomingCpu: 1 },
  // @ts-expect-error: how many may be pending is for listeners to say
  { port: 7000, fastOpen: 5 },
  // @ts-expect-error: an option of listeners
  { port: 7000, backlog: 5 },
  // @ts-expect-error: a signal, and not its controller
  { port: 7000, signal: new AbortController() },
]

export const custom: LookupFunction = (_name, _options, callback) =>
  callback(null, [{ address: '127.0.0.1', family: 4 }])

export async function connects(reactor: Reactor): Promise<void> {
  const handlers: Handlers<number> = {
    open(conn) {
      conn.data = 1
    },
  }
  const conn = await reactor.connect({ port: 7000, lookup: custom }, handlers)
  holds<Same<typeof conn, Connection<number>>>()
  holds<Same<typeof conn.listener, Listener<number> | undefined>>()
  const named = await reactor.connect<string>({ port: 7000 }, {})
  holds<Same<typeof named.data, string>>()
  // @ts-expect-error: where to
  await reactor.connect()
  // @ts-expect-error: connect(port, host) is node:net's
  await reactor.connect(7000, 'localhost')
}
