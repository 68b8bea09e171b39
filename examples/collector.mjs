// A telemetry sink: reads borrow their memory, so that nothing is allocated for bytes that are only counted.
//   node examples/collector.mjs     then: seq 1000000 | nc -N localhost 7000
import { Reactor } from 'c1m'

const newline = '\n'.charCodeAt(0)
let lines = 0

const reactor = new Reactor()
const listener = await reactor.listen(
  { port: Number(process.env.PORT ?? 7000), read: 'borrowed', maxWriteQueue: 64 * 1024 },
  {
    // `chunk` is valid until the handler returns: to keep some of it, copy it (Buffer.from(chunk)).
    data(_conn, chunk) {
      for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, at + 1)) lines++
    },
    end(conn) {
      conn.write(`${lines} lines so far\n`)
    },
    close(conn, error) {
      if (error) console.log(conn.remoteAddress, 'failed:', error.message)
    },
  },
)
process.once('SIGINT', () => reactor.shutdown({ timeoutMs: 1000 }))
console.log('listening on', listener.port)
