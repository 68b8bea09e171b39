import type { Connection, Listener, Reactor } from 'c1m'
import { holds, type Same } from './same.js'

// Compiled, and never run: the type of conn.data follows from the `data` option.

export async function ofListen(reactor: Reactor): Promise<void> {
  const made = await reactor.listen(
    { port: 0, data: () => ({ messages: 0 }) },
    {
      data(conn) {
        holds<Same<typeof conn, Connection<{ messages: number }>>>()
        conn.data.messages++
      },
    },
  )
  holds<Same<typeof made, Listener<{ messages: number }>>>()
  const same = await reactor.listen({ port: 0, data: { room: 'lobby' } })
  holds<Same<typeof same, Listener<{ room: string }>>>()
  // @ts-expect-error: it makes other data
  await reactor.listen<{ messages: number }>({ port: 0, data: () => 'none' })
}

export async function ofConnect(reactor: Reactor): Promise<void> {
  const conn = await reactor.connect({ port: 7000, data: { tries: 1 } }, { close: (conn) => void conn.data.tries })
  holds<Same<typeof conn, Connection<{ tries: number }>>>()
}

export function events(reactor: Reactor): void {
  reactor.on('saturated', ({ code }) => holds<Same<typeof code, string>>())
  // @ts-expect-error: a reactor emits no such event
  reactor.on('error', () => {})
}

export async function disposed(reactor: Reactor): Promise<void> {
  const listener = await reactor.listen({ port: 0 })
  await listener[Symbol.asyncDispose]()
  await reactor[Symbol.asyncDispose]()
}
