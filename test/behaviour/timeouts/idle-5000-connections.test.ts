import { connect, type Socket } from 'node:net'
import { test } from 'tap'
import { seeded } from '../../fixtures/random.js'
import { serve, until } from '../../fixtures/reactor.js'

const CONNECTIONS = 5_000
const TIMEOUT_MS = 1_500
/** Timeouts beyond this are printed, but not failures, because they depend on the machine. */
const LATE_MS = TIMEOUT_MS * 1.1

interface Life {
  readonly name: string
  readonly openedAt: number
  timeouts: number
}

interface Started {
  readonly socket: Socket
  readonly startedAt: number
}

/** Connects from many addresses, in groups. Resolves with the time before each connect by `address:port`. */
async function connectAll(port: number, sockets: Set<Socket>): Promise<Map<string, number>> {
  const random = seeded(1)
  const startedAt = new Map<string, number>()
  const one = () =>
    new Promise<Started>((resolve, reject) => {
      const at = performance.now()
      const localAddress = `127.${random.integer(1, 200)}.${random.integer(0, 255)}.${random.integer(1, 254)}`
      const socket = connect({ host: '127.0.0.1', port, localAddress }, () => resolve({ socket, startedAt: at }))
      socket.on('error', reject)
      sockets.add(socket)
    })
  for (let i = 0; i < CONNECTIONS; i += 250) {
    for (const { socket, startedAt: at } of await Promise.all(Array.from({ length: 250 }, one))) {
      startedAt.set(`${socket.localAddress}:${socket.localPort}`, at)
    }
  }
  return startedAt
}

test('5,000 idle timeouts fire once each, and never early', { timeout: 60_000 }, async (t) => {
  const elapsedByName = new Map<string, { sinceOpen: number; at: number; timeouts: number }>()
  const { port, reactor } = await serve<Life>(
    t,
    {
      open(conn) {
        conn.data = { name: `${conn.remoteAddress}:${conn.remotePort}`, openedAt: performance.now(), timeouts: 0 }
      },
      timeout(conn) {
        const at = performance.now()
        const life = conn.data
        elapsedByName.set(life.name, { sinceOpen: at - life.openedAt, at, timeouts: ++life.timeouts })
        conn.end()
      },
    },
    { idleTimeoutMs: TIMEOUT_MS },
  )
  const sockets = new Set<Socket>()
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  const startedAt = await connectAll(port, sockets)
  await until(() => elapsedByName.size === CONNECTIONS, 'all timeouts', 30_000)
  await until(() => reactor.connections.size === 0)

  const early: number[] = []
  const late: number[] = []
  let worst = 0
  for (const [name, { sinceOpen, at, timeouts }] of elapsedByName) {
    // The period starts at the accept: after the peer's connect, and before the open is delivered.
    const maxElapsed = at - (startedAt.get(name) as number)
    if (maxElapsed < TIMEOUT_MS) early.push(maxElapsed)
    if (sinceOpen > LATE_MS) late.push(sinceOpen)
    worst = Math.max(worst, sinceOpen)
    if (timeouts !== 1) t.fail(`${timeouts} timeouts`)
  }
  t.comment(`${late.length} later than ${LATE_MS} ms, the latest after ${Math.round(worst)} ms`)
  t.strictSame(early, [], 'none early')
})
