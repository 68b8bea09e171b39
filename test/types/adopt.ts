import type { Socket } from 'node:net'
import type { Connection, Handlers, Reactor, Watch, WatchEvents } from 'c1m'
import { holds, type Same } from './same.js'

// Compiled, and never run.

export async function adopted(reactor: Reactor, socket: Socket, handlers: Handlers<{ n: number }>): Promise<void> {
  const conn = await reactor.adopt(socket, handlers, { head: new Uint8Array(1), data: { n: 1 } })
  holds<Same<typeof conn, Connection<{ n: number }>>>()
  await reactor.adopt(3)
  // @ts-expect-error: not of the handlers' type
  await reactor.adopt(socket, handlers, { data: 'x' })
  // @ts-expect-error: neither a socket nor a descriptor
  await reactor.adopt('3')
  const back = await conn.detach()
  holds<Same<typeof back, Socket>>()
}

export function watched(reactor: Reactor): void {
  const watch = reactor.watch(3, { readable: true }, (events, own) => {
    holds<Same<typeof events, WatchEvents>>()
    holds<Same<typeof own, Watch>>()
  })
  holds<Same<typeof watch, Watch>>()
  // @ts-expect-error: there is no such interest
  reactor.watch(3, { hangup: true }, () => {})
}
