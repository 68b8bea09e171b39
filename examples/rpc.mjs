// Requests and replies as JSON, each preceded by its length; and a client that checks them.
//   node examples/rpc.mjs
import { once } from 'node:events'
import { connect } from 'node:net'
import { delimited, lengthPrefixed, Reactor, writeFrame } from 'c1m'

const frames = lengthPrefixed({ bytes: 4, maxFrameBytes: 64 * 1024 })
/** @type {Record<string, (numbers: number[]) => number>} */
const methods = {
  // No prototype, so that names of Object.prototype are not methods.
  // @ts-expect-error: TypeScript takes it for a method
  __proto__: null,
  sum: (numbers) => numbers.reduce((sum, number) => sum + number, 0),
}
/** @type {WeakMap<object, string>} */
const names = new WeakMap()

const reactor = new Reactor()
const listener = await reactor.listen(
  // A client sends a line with its name first, and then requests.
  { port: Number(process.env.PORT ?? 0), noDelay: true, framing: delimited('\n', { maxFrameBytes: 100 }) },
  {
    data(conn, frame) {
      if (!names.has(conn)) {
        names.set(conn, frame.toString())
        conn.setFraming(frames)
        return
      }
      const { id, method, params } = JSON.parse(frame.toString())
      const result = methods[method]?.(params)
      writeFrame(conn, frames, JSON.stringify({ id, for: names.get(conn), result }))
    },
    // Invalid JSON, or parameters that are not numbers, end the connection, and not the process.
    error(conn, error) {
      conn.destroy(error instanceof Error ? error : undefined)
    },
    close(_conn, error) {
      if (error) console.log('refused:', error.code ?? error.message)
    },
  },
)

// Sends several requests in one segment, and the last one in two, as any client may.
const socket = connect(Number(listener.port))
const requests = [1, 2, 3].map((id) => frames.encode(JSON.stringify({ id, method: 'sum', params: [id, 40] })))
const bytes = Buffer.concat([Buffer.from('the checker\n'), ...requests])
socket.write(bytes.subarray(0, -5))
setTimeout(() => socket.write(bytes.subarray(-5)), 20)

/** @type {{ received: Buffer, answers: { id: number, result: number }[] }} */
const client = { received: Buffer.alloc(0), answers: [] }
while (client.answers.length < 3) {
  const [chunk] = await once(socket, 'data')
  client.received = Buffer.concat([client.received, chunk])
  for (let end = 0; client.received.length >= 4; client.received = client.received.subarray(end)) {
    end = 4 + client.received.readUInt32BE(0)
    if (client.received.length < end) break
    client.answers.push(JSON.parse(client.received.toString('utf8', 4, end)))
  }
}
console.log('answers:', client.answers.map(({ result }) => result).join(', '))
if (client.answers.some(({ id, result }) => result !== id + 40)) process.exitCode = 1

// A length beyond the max ends the connection.
socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
await once(socket, 'end')
await reactor.shutdown()
