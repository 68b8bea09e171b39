// An echo server with back-pressure: it stops reading from a peer that doesn't read.
//   node examples/echo.mjs          then: nc localhost 7000
import { Reactor } from 'c1m'

const reactor = new Reactor()
const listener = await reactor.listen(
  { port: Number(process.env.PORT ?? 7000), noDelay: true },
  {
    data(conn, chunk) {
      if (!conn.write(chunk)) conn.pause()
    },
    drain(conn) {
      conn.resume()
    },
  },
)
process.once('SIGINT', async () => {
  const { drained, cut } = await reactor.shutdown({ timeoutMs: 1000 })
  console.log(`bye: ${drained} drained, ${cut} cut`)
})
console.log('listening on', listener.port)
