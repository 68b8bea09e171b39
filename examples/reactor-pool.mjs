// A server on several cores: worker processes that share a port, with a rolling restart on SIGHUP. The workers load
// this file as well.
//   node examples/reactor-pool.mjs     then: nc localhost 7000, several times; kill -HUP or kill -9 a worker meanwhile
import { fileURLToPath } from 'node:url'
import { delimited, ReactorPool } from 'c1m'

/**
 * Called in each worker.
 * @type {import('c1m').ReactorPoolSetup}
 */
export function setup(_reactor, context) {
  /** @type {import('c1m').Handlers<{ leaving: boolean }>} */
  const handlers = {
    open(conn) {
      conn.data = { leaving: false }
    },
    data(conn, line) {
      conn.write(`worker ${context.index}, process ${process.pid}: ${line}\n`)
      if (conn.data.leaving) conn.end()
    },
    // The worker drains: the next reply is the last, so that no request in flight is lost.
    shutdown(conn) {
      conn.data.leaving = true
    },
  }
  return handlers
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const pool = new ReactorPool({ module: import.meta.url, size: 2, mode: 'processes' })
  pool.on('crash', ({ worker, code, signal }) => console.log(`worker ${worker} has ended: ${signal ?? code}`))
  process.on('SIGHUP', () => pool.restart().catch(console.error))
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
    process.once(signal, () => pool.shutdown({ timeoutMs: 5000 }))
  }
  const listener = await pool.listen({
    host: '127.0.0.1',
    port: Number(process.env.PORT ?? 7000),
    framing: delimited('\n'),
  })
  console.log('listening on', listener.port)
}
