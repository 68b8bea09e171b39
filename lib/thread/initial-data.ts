import type { Connection, ConnectionContext } from '../connection/connection.js'
import { guard } from '../native/guard.js'

/**
 * @internal Puts a connection into its table, and then sets what `conn.data` is from the start: the user's function may look for
 * the connection, by its id or by a group, and is to find this object. What that throws is as if a handler had.
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
