import type { Connection, ConnectionId, ConnectionMap } from 'c1m'
import { holds, type Same, take } from './same.js'

// Compiled, and never run: an id is a number that can't be mistaken for another.

export function ids(conn: Connection, connections: ConnectionMap): void {
  const { id } = conn
  holds<Same<typeof id, ConnectionId>>()
  const number: number = id
  // @ts-expect-error: any number is not an id
  take<ConnectionId>(number)
  // @ts-expect-error: nor is a sum
  take<ConnectionId>(id + 1)
  const byId = new Map<ConnectionId, string>([[id, 'known']])
  // @ts-expect-error: a port is not an id
  byId.get(conn.remotePort ?? 0)

  // A number from outside can be looked up, and is found or not.
  connections.get(Number('17'))
  connections.has(17)
  // @ts-expect-error: a string finds nothing
  connections.get('17')
  // @ts-expect-error: a bigint neither
  connections.has(17n)
}

export function views(connections: ConnectionMap): void {
  for (const [id, conn] of connections) {
    holds<Same<typeof id, ConnectionId>>()
    holds<Same<typeof conn, Connection>>()
  }
  for (const id of connections.ids()) holds<Same<typeof id, ConnectionId>>()
  for (const conn of connections.values()) holds<Same<typeof conn, Connection>>()
  connections.forEach((conn, id, map) => {
    holds<Same<typeof conn, Connection>>()
    holds<Same<typeof id, ConnectionId>>()
    map.has(id)
  })
  holds<Same<typeof connections.size, number>>()
  // @ts-expect-error: only the reactor adds connections
  connections.set(1, undefined)
  // @ts-expect-error: and removes them
  connections.delete(1)
  // @ts-expect-error: it is not for the user to make one
  connections.size = 3
}

export function readOnly(conn: Connection, other: ConnectionId): void {
  // @ts-expect-error: who it is never changes
  conn.id = other
  // @ts-expect-error: nor where it comes from
  conn.remoteAddress = '127.0.0.1'
  // @ts-expect-error: that is close()'s to say
  conn.closed = true
}
