import { createHash } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { sha256 } from '../../fixtures/bytes.js'
import { fresh } from '../../fixtures/random.js'
import { serve, TRIGGERS, until } from '../../fixtures/reactor.js'

const MIB = 1024 * 1024

/** Sends all bytes, and reads the echo with a break after each `stride` bytes. Resolves with the hash of the echo. */
function slowEcho(port: number, payload: Buffer, stride: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256')
    let untilRest = stride
    const socket: Socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    socket.on('data', (chunk) => {
      hash.update(chunk)
      untilRest -= chunk.length
      if (untilRest > 0) return
      untilRest = stride
      socket.pause()
      setTimeout(() => socket.resume(), 4)
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(hash.digest('hex')))
    // The FIN comes while most of the echo is in flight.
    socket.end(payload)
  })
}

for (const trigger of TRIGGERS) {
  for (const read of ['owned', 'borrowed'] as const) {
    test(`echoes of 1 B and many MiB to slow readers (${read}, ${trigger})`, async (t) => {
      const random = fresh(t)
      let closes = 0
      const { port, reactor } = await serve(
        t,
        {
          data(conn, chunk) {
            if (!conn.write(chunk)) conn.pause()
          },
          drain(conn) {
            conn.resume()
          },
          close(_conn, error) {
            closes++
            if (error !== undefined) throw error
          },
        },
        { read, maxWriteQueue: 128 * MIB },
        { trigger, poisonBorrowed: true },
      )
      const sizes = [1, 2, random.integer(3, 4095), 4096, 4097, 16_383, 16_384, 65_536, random.integer(65_537, MIB)]
      for (let i = 0; i < 6; i++) sizes.push(random.integer(1, 2 * MIB))
      sizes.push(trigger === 'edge' && !SANITIZED ? 64 * MIB : random.integer(16 * MIB, 32 * MIB))
      await Promise.all(
        sizes.map(async (size) => {
          const payload = random.bytes(size)
          const echo = await slowEcho(port, payload, size > 8 * MIB ? 512 * 1024 : 64 * 1024)
          t.equal(echo, sha256(payload), `${size} bytes`)
        }),
      )
      // The peer may see the FIN before the close is delivered here.
      await until(() => reactor.connections.size === 0)
      t.equal(closes, sizes.length)
      t.equal(reactor.stats().bytesRead, reactor.stats().bytesWritten)
    })
  }
}
