// A client: a thousand requests at the same time to an echo server, each on a connection of its own.
//   node examples/client.mjs [host port]          without one, this process is the server as well
import { Reactor } from 'c1m'

const reactor = new Reactor({ maxConnections: 10_000 })
const [host = '127.0.0.1', port = await serveEcho()] = process.argv.slice(2)

async function serveEcho() {
  const handlers = {
    /** @param {import('c1m').Connection} conn @param {Buffer} chunk */
    data(conn, chunk) {
      conn.write(chunk)
    },
  }
  return (await reactor.listen({ host: '127.0.0.1', port: 0 }, handlers)).port
}

/** @param {string} question @returns {Promise<string>} all bytes until the end */
function ask(question) {
  return new Promise((resolve, reject) => {
    let answer = ''
    const handlers = {
      /** @param {import('c1m').Connection} conn */
      open(conn) {
        conn.end(question)
      },
      /** @param {import('c1m').Connection} _conn @param {Buffer} chunk */
      data(_conn, chunk) {
        answer += chunk
      },
      /** @param {import('c1m').Connection} _conn @param {Error} [error] */
      close(_conn, error) {
        if (error) reject(error)
        else resolve(answer)
      },
    }
    reactor.connect({ host, port: Number(port), connectTimeoutMs: 5000, noDelay: true }, handlers).catch(reject)
  })
}

const results = await Promise.allSettled(Array.from({ length: 1000 }, (_, i) => ask(`hello ${i}`)))
const right = results.filter((result, i) => result.status === 'fulfilled' && result.value === `hello ${i}`)
const failures = new Set(results.map((result) => (result.status === 'rejected' ? result.reason.message : undefined)))
failures.delete(undefined)
console.log(`${right.length} of ${results.length} answered`, ...failures)
await reactor.shutdown()
