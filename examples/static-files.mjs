// A small HTTP/1.1 file server: GET and HEAD, ranges, keep-alive.
//   node examples/static-files.mjs [directory]     then: curl -O localhost:7000/README.md
import { open } from 'node:fs/promises'
import { join, normalize, resolve } from 'node:path'
import { Reactor } from 'c1m'

const root = resolve(process.argv[2] ?? '.')
const MOST_HEAD_BYTES = 16 * 1024

/** @typedef {{ input: string, busy: boolean }} Client */

/** @param {import('c1m').Connection<Client>} conn @param {number} status @param {string} [headers] */
function respond(conn, status, headers = 'Content-Length: 0\r\n') {
  conn.write(`HTTP/1.1 ${status} -\r\n${headers}\r\n`)
}

/** Returns the requested range, or undefined for one that doesn't exist. @param {string} head @param {number} size */
function rangeOf(head, size) {
  const [, from, to] = /^range: *bytes=(\d*)-(\d*)\s*$/im.exec(head) ?? []
  if (from === undefined || (from === '' && to === '')) return { start: 0, end: size, part: false }
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from)
  const end = from === '' || to === '' ? size : Math.min(size, Number(to) + 1)
  return start < end ? { start, end, part: true } : undefined
}

/** @param {import('c1m').Connection<Client>} conn @param {string} head */
async function answer(conn, head) {
  const [, method, target = ''] = /^(GET|HEAD) (\/[^ ?]*)/.exec(head) ?? []
  if (method === undefined) return respond(conn, 405)
  let file
  try {
    // The decoded and normalised path can't leave the root.
    file = await open(join(root, normalize(decodeURIComponent(target))))
    const stat = await file.stat()
    if (!stat.isFile()) return respond(conn, 404)
    const range = rangeOf(head, stat.size)
    if (range === undefined) return respond(conn, 416, `Content-Range: bytes */${stat.size}\r\nContent-Length: 0\r\n`)
    const { start, end, part } = range
    const where = part ? `Content-Range: bytes ${start}-${end - 1}/${stat.size}\r\n` : ''
    respond(conn, part ? 206 : 200, `Accept-Ranges: bytes\r\n${where}Content-Length: ${end - start}\r\n`)
    if (method === 'HEAD') return
    // The head and the beginning of the file share a packet. The length was announced, so a file that has become
    // shorter since must not look complete.
    if ((await conn.sendFile(file, { start, end })) < end - start) conn.reset()
  } catch {
    // Sent only if the error came before the head; after it the connection has closed.
    respond(conn, 404)
  } finally {
    await file?.close()
  }
}

/** @param {import('c1m').Connection<Client>} conn */
function endOfHead(conn) {
  return conn.data.input.indexOf('\r\n\r\n')
}

/** Serves one request after the other. @param {import('c1m').Connection<Client>} conn */
async function serve(conn) {
  if (conn.data.busy) return
  conn.data.busy = true
  // A connection that has closed needs no reply.
  for (let end = endOfHead(conn); end >= 0 && !conn.closed; end = endOfHead(conn)) {
    const head = conn.data.input.slice(0, end)
    conn.data.input = conn.data.input.slice(end + 4)
    await answer(conn, head)
  }
  conn.data.busy = false
  if (conn.data.input.length > MOST_HEAD_BYTES) conn.destroy()
  else conn.resume()
}

/** @type {import('c1m').Handlers<Client>} */
const handlers = {
  open(conn) {
    conn.data = { input: '', busy: false }
  },
  data(conn, chunk) {
    conn.pause()
    conn.data.input += chunk.toString('latin1')
    void serve(conn)
  },
}

const reactor = new Reactor()
const listener = await reactor.listen({ port: Number(process.env.PORT ?? 7000), idleTimeoutMs: 30_000 }, handlers)
process.once('SIGINT', () => reactor.shutdown({ timeoutMs: 1000 }))
console.log('listening on', listener.port)
