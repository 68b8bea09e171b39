import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Connection } from 'c1m'
import { test } from 'tap'
import { netServer } from '../../fixtures/handover.js'
import { patternAt } from '../../fixtures/pattern.js'
import type { Peer } from '../../fixtures/peer.js'
import { seeded } from '../../fixtures/random.js'
import { makeReactor, TRIGGERS, until } from '../../fixtures/reactor.js'

const TOTAL = 24 * 1024 * 1024
const HANDOVERS = 12
const CHUNK = 64 * 1024

/** The local side, which receives a pattern and sends another, while the socket changes owners. */
class Side {
  received = 0
  sent = 0
  wrong = 0
  ended = false
  conn: Connection<undefined> | undefined
  socket: Socket | undefined

  take(chunk: Buffer): void {
    // A chunk may be of any length: an unshifted one has all bytes.
    for (let at = 0; at < chunk.length; at += CHUNK) {
      const part = chunk.subarray(at, at + CHUNK)
      if (!part.equals(patternAt(this.received, part.length))) this.wrong++
      this.received += part.length
    }
  }

  /** Writes more bytes through the present owner, without waiting for a drain. */
  give(bytes: number): void {
    const length = Math.min(bytes, TOTAL - this.sent)
    const chunk = Buffer.from(patternAt(this.sent, length))
    if (this.conn?.closed === false) this.conn.write(chunk)
    else if (this.socket?.writable === true) this.socket.write(chunk)
    else return
    this.sent += length
  }
}

async function send(peer: Peer): Promise<void> {
  for (let at = 0; at < TOTAL; at += CHUNK) {
    if (!peer.write(patternAt(at, Math.min(CHUNK, TOTAL - at)))) await once(peer.socket, 'drain')
  }
  peer.end()
}

for (const trigger of TRIGGERS) {
  test(`a socket moved between node:net and two reactors under traffic loses no byte (${trigger})`, async (t) => {
    const random = seeded(7)
    const reactors = [makeReactor(t, { trigger }), makeReactor(t, { trigger })]
    const { accept } = await netServer(t, { allowHalfOpen: true })
    const { socket, peer } = await accept()
    const side = new Side()
    const log: string[] = []
    const handlers = {
      open: () => log.push('open'),
      data: (_conn: Connection<undefined>, chunk: Buffer) => side.take(chunk),
      end: () => {
        side.ended = true
      },
      close: (_conn: Connection<undefined>, error?: Error) => log.push(error === undefined ? 'close' : error.message),
    }
    const hold = (held: Socket) => {
      side.socket = held
      held.on('data', (chunk: Buffer) => side.take(chunk))
      held.on('end', () => {
        side.ended = true
      })
      held.on('error', t.error)
    }
    hold(socket)
    const sending = send(peer)
    for (let turn = 0; turn < HANDOVERS; turn++) {
      const enough = Math.min(TOTAL - CHUNK, side.received + random.integer(1, TOTAL / HANDOVERS))
      side.give(random.integer(1, 4 * CHUNK))
      await until(() => side.received >= enough)
      side.give(random.integer(1, 4 * CHUNK))
      const options = { allowHalfOpen: true, read: random.pick(['owned', 'borrowed'] as const) }
      side.conn = await random.pick(reactors).adopt(side.socket as Socket, handlers, options)
      side.socket = undefined
      side.give(random.integer(1, 4 * CHUNK))
      if (random.next() < 0.5) await until(() => side.received >= Math.min(TOTAL - CHUNK, enough + CHUNK))
      if (random.next() < 0.3) side.conn.pause()
      side.give(random.integer(1, 4 * CHUNK))
      hold(await side.conn.detach())
      side.conn = undefined
    }
    await sending
    await until(() => side.ended)
    t.equal(side.received, TOTAL)
    t.equal(side.wrong, 0, 'received bytes are right')
    const last = side.socket as unknown as Socket
    last.end()
    await peer.untilClosed()
    t.equal(peer.length, side.sent)
    const received = peer.received
    let wrong = 0
    for (let at = 0; at < received.length; at += CHUNK) {
      const part = received.subarray(at, at + CHUNK)
      if (!part.equals(patternAt(at, part.length))) wrong++
    }
    t.equal(wrong, 0, 'sent bytes are right')
    t.strictSame(log, Array.from({ length: HANDOVERS }, () => ['open', 'close']).flat())
  })
}
