import {
  type CloseError,
  type Connection,
  type ConnectionId,
  type ErrorCode,
  type Handlers,
  type Listener,
  Reactor,
} from 'c1m'
import { holds, type Same, take } from './same.js'

// Compiled, and never run: the type of conn.data follows from listen<Peer>().

interface Peer {
  readonly id: ConnectionId
  name: string
}

export async function typedThroughListen(): Promise<void> {
  const reactor = new Reactor()
  const listener = await reactor.listen<Peer>(
    { port: 0 },
    {
      open(conn) {
        holds<Same<typeof conn, Connection<Peer>>>()
        holds<Same<typeof conn.data, Peer>>()
        holds<Same<typeof conn.listener, Listener<Peer> | undefined>>()
        conn.data = { id: conn.id, name: 'new' }
        // @ts-expect-error: a Peer has a name
        conn.data = { id: conn.id }
      },
      data(conn, chunk) {
        holds<Same<typeof chunk, Buffer>>()
        conn.data.name = chunk.toString()
        // @ts-expect-error: it is read-only
        conn.data.id = conn.id
        // @ts-expect-error: a Peer has no age
        conn.data.age = 3
      },
      drain: (conn) => holds<Same<typeof conn, Connection<Peer>>>(),
      end: (conn) => holds<Same<typeof conn, Connection<Peer>>>(),
      timeout: (conn) => holds<Same<typeof conn, Connection<Peer>>>(),
      shutdown: (conn) => holds<Same<typeof conn, Connection<Peer>>>(),
      close(conn, error) {
        holds<Same<typeof conn, Connection<Peer>>>()
        holds<Same<typeof error, CloseError | undefined>>()
        // Editors complete the known codes, and any string can be compared.
        holds<Same<NonNullable<typeof error>['code'], ErrorCode | (string & {}) | undefined>>()
        holds<Same<NonNullable<typeof error>['errno'], number | undefined>>()
        holds<Same<NonNullable<typeof error>['syscall'], string | undefined>>()
      },
    },
  )
  holds<Same<typeof listener, Listener<Peer>>>()
  // @ts-expect-error: it is not a listener of other data
  take<Listener<{ age: number }>>(listener)
}

export async function withoutType(reactor: Reactor): Promise<void> {
  const listener = await reactor.listen(
    { port: 0 },
    {
      open(conn) {
        holds<Same<typeof conn.data, unknown>>()
        conn.data = { since: Date.now() }
      },
      data(conn) {
        // @ts-expect-error: give listen() a type to read it
        conn.data.since
      },
    },
  )
  holds<Same<typeof listener, Listener>>()
}

export async function inferred(reactor: Reactor): Promise<void> {
  const listener = await reactor.listen({ port: 0 }, { open(_conn: Connection<Peer>) {} })
  holds<Same<typeof listener, Listener<Peer>>>()
}

export function inTheMap(reactor: Reactor, id: ConnectionId): void {
  const conn = reactor.connections.get(id)
  holds<Same<typeof conn, Connection | undefined>>()
  // The reactor's map has connections of all listeners, so their data is unknown.
  holds<Same<NonNullable<typeof conn>['data'], unknown>>()
  // @ts-expect-error: it may be gone
  conn.end()
  conn?.end()
}

export class Chat implements Handlers<Peer> {
  open(conn: Connection<Peer>): void {
    conn.data = { id: conn.id, name: '' }
  }
}

export async function instances(reactor: Reactor): Promise<void> {
  await reactor.listen<Peer>({ port: 0 }, new Chat())
  // @ts-expect-error: handlers of other data
  await reactor.listen<{ age: number }>({ port: 0 }, new Chat())
}
