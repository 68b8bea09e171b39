import { connect } from 'node:net'
import type { Connection } from 'c1m'
import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { fresh } from '../../fixtures/random.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const TOTAL = SANITIZED ? 4000 : 10_000
/** The max of simultaneous connections. Both ends of each count against RLIMIT_NOFILE. */
const MAX_OPEN = 2_000

interface Life {
  opens: number
  closes: number
}

type Fate = 'end' | 'destroy' | 'reset' | 'server end' | 'server destroy' | 'server reset' | 'silent'
const FATES: readonly Fate[] = ['end', 'destroy', 'reset', 'server end', 'server destroy', 'server reset', 'silent']

/** Executes the server's part of a fate, which the first letter of the message names. */
function obey(conn: Connection<Life>, chunk: Buffer): void {
  const order = chunk.toString('latin1', 0, 1)
  if (order === 'e') conn.end(chunk)
  else if (order === 'd') conn.destroy()
  else if (order === 'r') conn.reset()
  else conn.write(chunk)
}

/** Runs one peer. Resolves when its socket has closed, with `false` if its echo was wrong. */
function live(port: number, fate: Fate, source: string, size: number): Promise<boolean> {
  return new Promise((resolve) => {
    const order = fate.startsWith('server ') ? (fate[7] as string) : 'x'
    const message = Buffer.alloc(size, order)
    let received = 0
    let echoed = true
    const socket = connect({ host: '127.0.0.1', port, localAddress: source })
    socket.on('connect', () => {
      if (fate === 'silent') return void socket.destroy()
      socket.write(message)
      // Half of them close before the echo.
      if (fate === 'reset' && size % 2 === 0) socket.resetAndDestroy()
      if (fate === 'destroy' && size % 2 === 0) socket.destroy()
    })
    socket.on('data', (chunk) => {
      received += chunk.length
      if (!chunk.every((byte) => byte === message[0])) echoed = false
      if (received < size) return
      if (fate === 'end') socket.end()
      if (fate === 'reset') socket.resetAndDestroy()
      if (fate === 'destroy') socket.destroy()
    })
    // Either side may reset.
    socket.on('error', () => {})
    socket.on('close', () => resolve(echoed && (fate !== 'end' || received === size)))
  })
}

for (const trigger of TRIGGERS) {
  test(`${TOTAL} connections opened and dropped at random under load (${trigger})`, { timeout: 60_000 }, async (t) => {
    const random = fresh(t)
    const lives: Life[] = []
    let strays = 0
    const { port, reactor } = await serve<Life>(
      t,
      {
        open(conn) {
          conn.data = { opens: 1, closes: 0 }
          lives.push(conn.data)
        },
        data(conn, chunk) {
          if (conn.data.closes > 0) strays++
          obey(conn, chunk)
        },
        close: (conn) => void conn.data.closes++,
      },
      {},
      { trigger },
    )
    let started = 0
    let wrong = 0
    const worker = async () => {
      while (started < TOTAL) {
        const source = `127.${random.integer(1, 200)}.${random.integer(0, 255)}.${random.integer(1, 254)}`
        started++
        if (!(await live(port, random.pick(FATES), source, random.integer(1, 3000)))) wrong++
      }
    }
    await Promise.all(Array.from({ length: MAX_OPEN }, worker))
    await until(() => reactor.connections.size === 0, 'all connections closed')
    await until(() => reactor.stats().closed === TOTAL, 'all slots free')
    t.equal(wrong, 0, 'echoes')
    t.equal(strays, 0, 'no data after close')
    t.equal(lives.length, TOTAL)
    t.equal(lives.filter((life) => life.closes !== 1).length, 0, 'each closed once')
    t.equal(reactor.stats().accepted, TOTAL)
    t.equal(reactor.stats().acceptErrors, 0)
    t.equal(reactor.stats().queueBytes, 0)
  })
}
