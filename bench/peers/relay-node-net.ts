import { connect, createServer } from 'node:net'
import { print } from './control.js'

/** A relay by `node:net` to a port of this host: `relay-node-net.js <port>`. */

const upstream = Number(process.argv[2])
process.stdin.on('end', () => process.exit(0)).resume()

const server = createServer({ allowHalfOpen: true }, (client) => {
  const target = connect({ host: '127.0.0.1', port: upstream, allowHalfOpen: true })
  client.on('error', () => target.destroy())
  target.on('error', () => client.destroy())
  client.pipe(target).pipe(client)
})
server.listen({ host: '127.0.0.1', port: 0 }, () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') print({ event: 'listening', port: address.port })
})
