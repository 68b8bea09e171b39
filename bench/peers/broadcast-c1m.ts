import { Reactor } from 'c1m'
import { obeyBroadcasts } from './broadcast-control.js'
import { print } from './control.js'

/** The c1m peer of the broadcast benchmark: a listener whose connections form a group, and one that echoes. */

const reactor = new Reactor()
const group = reactor.createGroup()

async function main(): Promise<void> {
  const crowd = await reactor.listen(
    { host: '127.0.0.1', port: 0, noDelay: true },
    {
      open(conn) {
        group.add(conn)
      },
    },
  )
  const echo = await reactor.listen(
    { host: '127.0.0.1', port: 0, noDelay: true },
    {
      data(conn, chunk) {
        conn.write(chunk)
      },
    },
  )
  print({ event: 'listening', port: crowd.port as number, echoPort: echo.port as number })
}

obeyBroadcasts(
  () => group.size,
  async (payload) => {
    const asked = group.size
    const { reached, queued } = await group.broadcast(payload)
    return { errors: asked - reached - queued }
  },
)
void main()
