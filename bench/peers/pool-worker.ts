import type { Handlers, Reactor, WorkerContext } from 'c1m'

/**
 * What the workers of the `pool` scenario serve: each line is answered with the process that answers. When the worker drains,
 * a connection's next answer ends in `!`, and is its last.
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
