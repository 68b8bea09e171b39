import type { Handlers, Reactor, WorkerContext } from 'c1m'

/**
 * The workers of the `pool` scenario reply to each line with their process. While a worker drains, the next reply to a
 * connection ends in `!`, and is its last.
 */
export function setup(_: Reactor, context: WorkerContext): Handlers<{ leaving: boolean }> {
  return {
    open(conn) {
      conn.data = { leaving: context.draining }
    },
    data(conn) {
      conn.write(`${process.pid}${conn.data.leaving ? '!' : ''}\n`)
      if (conn.data.leaving) conn.end()
    },
    shutdown(conn) {
      conn.data.leaving = true
    },
  }
}
