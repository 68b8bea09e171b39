// c1m in an existing server: c1m has the device connections, and http reports on them, both in one process.
//   node examples/beside-http.mjs   then: nc localhost 7000   and: curl localhost:8000
import { createServer } from 'node:http'
import { Reactor } from 'c1m'

const reactor = new Reactor()
const listener = await reactor.listen(
  { port: Number(process.env.PORT ?? 7000), keepAlive: { idleMs: 30_000, intervalMs: 5_000, count: 3 } },
  {
    data(conn, chunk) {
      conn.write(`${chunk.length} bytes, thank you\n`)
    },
  },
)

const http = createServer((_request, response) => {
  const { connections, accepted, bytesRead } = reactor.stats()
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify({ connections, accepted, bytesRead })}\n`)
})
process.once('SIGINT', async () => {
  http.close()
  await reactor.shutdown({ timeoutMs: 1000 })
})

http.listen(Number(process.env.HTTP_PORT ?? (process.env.PORT === '0' ? 0 : 8000)), () => {
  console.log('listening on', listener.port, 'and, with http, on', http.address())
})
