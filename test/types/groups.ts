import { type BroadcastResult, type Connection, type Group, type Handlers, Reactor } from 'c1m'
import type { Same } from './same.js'

interface Guest {
  name: string
}

const reactor = new Reactor()

export const room: Group<Guest> = reactor.createGroup<Guest>()
export const anyone: Group<unknown> = reactor.createGroup()

export const handlers: Handlers<Guest> = {
  open(conn) {
    room.add(conn)
    anyone.add(conn)
    void room.broadcast('hello', { except: conn })
    void room.broadcast(new Uint8Array(3), { encoding: 'latin1' })
  },
}

export async function results(other: Connection<number>): Promise<void> {
  const result = await room.broadcast(Buffer.from('x'))
  const same: Same<typeof result, BroadcastResult> = true
  const total: number = result.reached + result.queued + result.cut
  // @ts-expect-error: its data is of another type
  room.add(other)
  // @ts-expect-error: a result is not to be written
  result.cut = 1
  // @ts-expect-error: not bytes
  await room.broadcast(1)
  for (const conn of room) conn.data.name = `${same} ${total}`
  await reactor.connections.broadcast<Guest>('x', (conn) => conn.data.name === 'me')
  // @ts-expect-error: a filter answers yes or no
  await reactor.connections.broadcast('x', () => 'yes')
}
