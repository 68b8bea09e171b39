import { Reactor, relay } from 'c1m'
import { print } from './control.js'

/** A relay by c1m to a port of this host: `relay-c1m.js <port>`. */

const upstream = Number(process.argv[2])
const reactor = new Reactor()
process.stdin.on('end', () => process.exit(0)).resume()

async function main(): Promise<void> {
  const listener = await reactor.listen(
    { host: '127.0.0.1', port: 0, allowHalfOpen: true },
    {
      async open(client) {
        client.pause()
        await relay(client, await reactor.connect({ host: '127.0.0.1', port: upstream, allowHalfOpen: true }))
      },
    },
  )
  print({ event: 'listening', port: listener.port ?? 0 })
}

void main()
