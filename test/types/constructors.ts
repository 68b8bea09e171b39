import { Connection, ConnectionMap, Listener } from 'c1m'

// Compiled, and never run: constructors of objects that only a reactor makes.

export function constructors(): void {
  // @ts-expect-error: reactor.listen() makes it
  new Listener()
  // @ts-expect-error: accepting makes it
  new Connection()
  // @ts-expect-error: reactor.connections is the one
  new ConnectionMap()
}
