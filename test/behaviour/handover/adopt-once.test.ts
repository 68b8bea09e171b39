import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Test, t as tap, test } from 'tap'
import { netServer } from '../../fixtures/handover.js'
import type { Peer } from '../../fixtures/peer.js'
import { fence, makeReactor, until } from '../../fixtures/reactor.js'

// Each test mostly waits for a time to pass.
tap.jobs = 3

/** Some of these readers act by a timer: it is to run out before the socket is taken over, or meanwhile. */
const TIMERS_MS = 20

/** Ways to read a socket. Each passes its chunks to `got`. */
const READERS: Readonly<Record<string, (socket: Socket, got: (chunk: Buffer) => void) => void>> = {
  'no reader': () => {},
  'a listener': (socket, got) => void socket.on('data', got),
  'a listener that has paused': (socket, got) => void socket.on('data', got).pause(),
  'a pipe': (socket, got) => void socket.pipe(new PassThrough()).on('data', got),
  'a pipe whose other end is full': (socket, got) => {
    const full = new PassThrough({ highWaterMark: 1 })
    socket.pipe(full)
    // When its buffer has drained, the pipe makes the socket flow again.
    setTimeout(() => full.on('data', got), 30)
  },
  'a readable listener': (socket, got) => {
    socket.on('readable', () => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) got(chunk)
    })
  },
  'a readable listener that takes nothing': (socket) => void socket.on('readable', () => {}),
  'an async iterator': (socket, got) => {
    const read = async () => {
      for await (const chunk of socket) got(chunk)
    }
    // The iteration ends with ERR_STREAM_PREMATURE_CLOSE.
    read().catch(() => {})
  },
  'a listener that makes the socket flow again': (socket, got) => {
    socket.on('data', got)
    setTimeout(() => socket.resume(), 5)
  },
}

const total = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString()

async function begin(t: Test, name: string): Promise<{ socket: Socket; peer: Peer; old: Buffer[] }> {
  const { accept } = await netServer(t, { allowHalfOpen: true })
  const { socket, peer } = await accept()
  const old: Buffer[] = []
  socket.on('error', () => {})
  READERS[name]?.(socket, (chunk) => old.push(chunk))
  await peer.flush('first ')
  await sleep(TIMERS_MS)
  return { socket, peer, old }
}

for (const name of Object.keys(READERS)) {
  test(`each byte goes once to the previous reader or to the handlers (${name})`, async (t) => {
    const { socket, peer, old } = await begin(t, name)
    const before = total(old)
    await peer.flush('second ')
    const reactor = makeReactor(t)
    const fresh: Buffer[] = []
    let ended = false
    const adopting = reactor.adopt(socket, {
      data: (_conn, chunk) => void fresh.push(chunk),
      end: () => {
        ended = true
      },
    })
    const given = total(old)
    await peer.flush('third')
    peer.end()
    await adopting
    await until(() => ended && (total(old) + total(fresh)).length >= 18)
    await fence(reactor)
    // The other end of a pipe has a buffer of its own.
    if (!name.includes('full')) t.equal(total(old), given, 'the previous reader gets nothing after the call')
    t.ok(given.startsWith(before))
    t.equal(total(old) + total(fresh), 'first second third')
  })

  test(`each byte goes once to a reader or handler while adopt() waits for earlier writes (${name})`, async (t) => {
    const { socket, peer, old } = await begin(t, name)
    peer.socket.pause()
    for (let i = 0; i < 32; i++) socket.write(Buffer.alloc(256 * 1024))
    t.ok(socket.writableLength > 0)
    const reactor = makeReactor(t)
    const fresh: Buffer[] = []
    let ended = false
    const adopting = reactor.adopt(
      socket,
      {
        data: (_conn, chunk) => void fresh.push(chunk),
        end: () => {
          ended = true
        },
      },
      { allowHalfOpen: true },
    )
    const given = total(old)
    for (const piece of ['second ', 'third']) {
      await peer.flush(piece)
      await sleep(2 * TIMERS_MS)
    }
    peer.end()
    await sleep(2 * TIMERS_MS)
    t.equal(socket.destroyed, false, 'adopt() still waits')
    peer.socket.resume()
    await adopting
    await until(() => ended)
    if (!name.includes('full')) t.equal(total(old), given, 'the previous reader gets nothing after the call')
    t.equal(total(old) + total(fresh), 'first second third')
  })

  if (name.endsWith('takes nothing')) continue
  test(`all bytes go to the previous reader if adopt() fails (${name})`, async (t) => {
    const { socket, peer, old } = await begin(t, name)
    let end = false
    socket.on('end', () => {
      end = true
    })
    peer.socket.pause()
    for (let i = 0; i < 32; i++) socket.write(Buffer.alloc(256 * 1024))
    const reactor = makeReactor(t)
    const refused = t.rejects(reactor.adopt(socket), { code: 'ERR_C1M_REACTOR_CLOSED' })
    await peer.flush('second ')
    await sleep(2 * TIMERS_MS)
    await reactor.shutdown()
    peer.socket.resume()
    await refused
    await peer.flush('third')
    peer.end()
    if (name === 'no reader') socket.on('data', (chunk) => old.push(chunk))
    socket.resume()
    await until(() => end)
    await until(() => total(old).length >= 18, total(old))
    t.equal(total(old), 'first second third')
    t.equal(Object.hasOwn(socket, 'emit') || Object.hasOwn(socket, 'read'), false, 'the socket has no overrides left')
  })
}
