import type { Connection, ConnectionContext } from '../connection/connection.js'
import { guard } from '../native/guard.js'

/**
 * @internal Puts a connection into its table, and then sets the first value of `conn.data`. The user's function may
 * look the connection up, by its id or in a group, and must find this object. Its errors are treated like a handler's.
 */
export function enter(
  table: (Connection<unknown> | undefined)[],
  slot: number,
  conn: Connection<unknown>,
  { newData, handlers }: ConnectionContext,
): Connection<unknown> {
  table[slot] = conn
  if (newData === undefined) return conn
  guard(() => {
    try {
      conn.data = newData(conn as never)
    } catch (error) {
      if (handlers.error === undefined) throw error
      handlers.error(conn, error)
    }
  })
  return conn
}
