import { type CloseError, type Connection, type Handlers, Reactor, type Saturated, type TimeoutKind } from 'c1m'
import { holds, type Same } from './same.js'

// Compiled, and never run: the handlers and their arguments.

export const none: Handlers = {}

export const all: Handlers<string> = {
  open: (conn: Connection<string>) => void conn.write('hi'),
  data(conn, chunk) {
    holds<Same<typeof conn, Connection<string>>>()
    holds<Same<typeof chunk, Buffer>>()
  },
  // A handler may have fewer parameters.
  drain() {},
  end: () => {},
  // A handler may be asynchronous, although the caller doesn't await it.
  timeout: async (_conn, kind) => {
    holds<Same<typeof kind, TimeoutKind>>()
    holds<Same<TimeoutKind, 'idle' | 'read' | 'write' | 'total'>>()
  },
  shutdown(conn) {
    conn.end('bye')
  },
  close(_conn, error) {
    holds<Same<typeof error, CloseError | undefined>>()
    if (error?.code === 'ERR_C1M_IDLE_TIMEOUT' || error?.code === 'ECONNRESET') return
  },
  error(conn, error) {
    holds<Same<typeof error, unknown>>()
    conn.destroy(error instanceof Error ? error : undefined)
  },
}

export const misspelt: Handlers = {
  // @ts-expect-error: there is no such handler
  onData() {},
}

export const ofNodeNet: Handlers = {
  // @ts-expect-error: node:net's name of it is `connection`
  connection() {},
}

// A handler may be undefined.
export const leftOut: Handlers = { open: undefined, data: undefined, close: undefined, error: undefined }

export const wrongChunk: Handlers = {
  // @ts-expect-error: chunks are Buffers, there is no setEncoding()
  data(_conn: Connection<undefined>, chunk: string) {
    chunk.trim()
  },
}

export const notAFunction: Handlers = {
  // @ts-expect-error: not a function
  open: 'hello',
}

export async function inline(reactor: Reactor): Promise<void> {
  await reactor.listen({ port: 0 })
  await reactor.listen({ port: 0 }, {})
  await reactor.listen(
    { port: 0 },
    {
      // @ts-expect-error: there is no such handler
      message() {},
    },
  )
  // @ts-expect-error: handlers are an object, not a listener of connections
  await reactor.listen({ port: 0 }, (conn: Connection) => conn.end())
}

export function events(): void {
  const reactor = new Reactor()
  reactor.on('saturated', (event) => {
    holds<Same<typeof event, Saturated>>()
    holds<Same<typeof event.code, string>>()
    void event.listener.close()
  })
}
