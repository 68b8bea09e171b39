// WebSockets that cost a few hundred bytes each while they are idle: http accepts the upgrade, and the reactor adopts
// the connection. The example has the minimum of RFC 6455 for a chat of short texts: the handshake, and frames of up to
// 125 bytes.
//   node examples/http-upgrade.mjs   then: in a browser's console, new WebSocket('ws://localhost:8000').send('hello')
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { Reactor } from 'c1m'

const TEXT = 1
const CLOSE = 8
const PING = 9
const PONG = 10
const NOTHING = Buffer.alloc(0)

/** @typedef {{ name: string, rest: Buffer }} Member */
/** @typedef {{ opcode: number, payload: Buffer }} Frame */

/** @param {string} key */
const acceptanceOf = (key) => createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** Makes a frame; a client's is masked. @param {number} opcode @param {Buffer} payload @param {Buffer} [mask] */
function frame(opcode, payload, mask) {
  const head = [0x80 | opcode, (mask ? 0x80 : 0) | payload.length]
  return mask
    ? Buffer.concat([Buffer.from(head), mask, xor(payload, mask)])
    : Buffer.concat([Buffer.from(head), payload])
}

/** @param {Buffer} bytes @param {Buffer} mask */
const xor = (bytes, mask) => bytes.map((byte, i) => byte ^ Number(mask[i % 4]))

/** Returns the complete frames at the start, and the rest. @param {Buffer} bytes */
function readFrames(bytes) {
  /** @type {Frame[]} */
  const frames = []
  let at = 0
  while (bytes.length - at >= 2) {
    const length = bytes.readUInt8(at + 1) & 0x7f
    if (length > 125) throw new RangeError('a frame longer than 125 bytes')
    const masked = bytes.readUInt8(at + 1) >= 0x80
    const start = at + (masked ? 6 : 2)
    if (bytes.length < start + length) break
    const payload = bytes.subarray(start, start + length)
    frames.push({
      opcode: bytes.readUInt8(at) & 0xf,
      payload: Buffer.from(masked ? xor(payload, bytes.subarray(at + 2, start)) : payload),
    })
    at = start + length
  }
  return { frames, rest: bytes.subarray(at) }
}

const reactor = new Reactor()

/** @type {import('c1m').Handlers<Member>} */
const handlers = {
  data(conn, chunk) {
    const member = conn.data
    try {
      const { frames, rest } = readFrames(member.rest.length === 0 ? chunk : Buffer.concat([member.rest, chunk]))
      // Copied, so that the rest doesn't keep its whole slab alive. Usually there is no rest.
      member.rest = rest.length === 0 ? NOTHING : Buffer.from(rest)
      for (const { opcode, payload } of frames) {
        if (opcode === TEXT) conn.write(frame(TEXT, Buffer.concat([Buffer.from(`${member.name}: `), payload])))
        else if (opcode === PING) conn.write(frame(PONG, payload))
        else if (opcode === CLOSE) conn.end(frame(CLOSE, payload))
      }
    } catch {
      conn.destroy()
    }
  },
}

const server = createServer((_request, response) => {
  response.end(`${reactor.connections.size} WebSockets are open\n`)
})
server.on('upgrade', async (incoming, socket, head) => {
  const key = incoming.headers['sec-websocket-key']
  if (incoming.headers.upgrade?.toLowerCase() !== 'websocket' || key === undefined) {
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    return
  }
  socket.on('error', () => {})
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptanceOf(key)}\r\n\r\n`,
  )
  // Parsed without new URL(), which throws for some paths that a peer may send.
  const data = { name: /^\/([\w-]+)/.exec(incoming.url ?? '')?.[1] ?? 'somebody', rest: NOTHING }
  await reactor
    .adopt(/** @type {import('node:net').Socket} */ (socket), handlers, { head, data })
    .catch(() => socket.destroy())
})
server.listen(Number(process.env.PORT ?? 8000))
await once(server, 'listening')
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())

await check()
process.once('SIGINT', async () => {
  server.close()
  await reactor.shutdown({ timeoutMs: 1000 })
})
console.log('listening on', port)

/** Checks the server as a small client. */
async function check() {
  const key = randomBytes(16).toString('base64')
  const headers = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Key': key,
    'Sec-WebSocket-Version': '13',
  }
  const [response, socket, head] = await once(request({ port, path: '/alice', headers }).end(), 'upgrade')
  if (response.headers['sec-websocket-accept'] !== acceptanceOf(key)) throw new Error('a wrong handshake')
  const mask = randomBytes(4)
  const [hello, ping] = [frame(TEXT, Buffer.from('hello'), mask), frame(PING, Buffer.from('?'), mask)]
  // Sent in two parts, of which the second begins in the middle of a frame.
  socket.write(hello.subarray(0, 3))
  setTimeout(() => socket.write(Buffer.concat([hello.subarray(3), ping])), 20)
  let received = head
  while (readFrames(received).frames.length < 2) received = Buffer.concat([received, ...(await once(socket, 'data'))])
  const texts = readFrames(received).frames.map(({ payload }) => payload.toString())
  if (texts.join() !== 'alice: hello,?') throw new Error(`wrong answers: ${texts.join()}`)
  if (reactor.connections.size !== 1) throw new Error('the connection was not adopted')
  socket.write(frame(CLOSE, Buffer.alloc(0), mask))
  await once(socket, 'end')
  socket.end()
  console.log('the reactor has replied to a WebSocket client')
}
