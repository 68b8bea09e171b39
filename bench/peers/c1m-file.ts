import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { type Connection, Reactor } from 'c1m'
import { print } from './control.js'

/** `c1m-file.js DIRECTORY`: replies to each GET /NAME by `conn.sendFile()` of that file, to GET /echo from memory. */

const directory = process.argv[2] as string

const ECHO = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\necho'

async function answer(conn: Connection, request: string): Promise<void> {
  if (request.startsWith('GET /echo ')) return void conn.write(ECHO)
  const file = await open(join(directory, request.slice(5, request.indexOf(' ', 5))))
  const { size } = await file.stat()
  conn.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
  const sent = conn.sendFile(file, { end: size })
  await file.close()
  await sent
}

async function main(): Promise<void> {
  const reactor = new Reactor()
  const listener = await reactor.listen(
    { host: '127.0.0.1', port: 0, noDelay: true },
    { data: (conn, chunk) => void answer(conn, chunk.toString('latin1')).catch(() => conn.destroy()) },
  )
  print({ event: 'listening', port: listener.port as number })
}

process.stdin.on('end', () => process.exit(0)).resume()
void main()
