import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Load for the `pool` scenario: `pool-load.js <port> <long> <short>`. `long` connections send requests all the time,
 * and
 * `short` loops open one for each request. At any line from stdin it stops and reports.
 */

const [port, long, short] = process.argv.slice(2).map(Number) as [number, number, number]

let stopped = false
const seen = {
  answered: 0,
  /** The number of requests on long connections without a reply, by their process. */
  lost: {} as Record<string, number>,
  fresh: 0,
  /** The number of new connections without a reply. */
  failed: 0,
  slowestMs: 0,
  /** The longest time from the failure of a new connection to the next reply. */
  longestOutageMs: 0,
}
let outageSince: number | undefined

/** Resolves with the next reply, or with undefined if the connection ends before. */
function ask(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    const settle = (answer: string | undefined) => {
      socket.off('data', heard)
      socket.off('close', closed)
      resolve(answer)
    }
    const heard = (chunk: Buffer) => settle(chunk.toString())
    const closed = () => settle(undefined)
    if (socket.closed) return resolve(undefined)
    socket.on('data', heard)
    socket.on('close', closed)
    socket.write('?\n')
  })
}

function open(): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  return socket
}

async function askForLong(): Promise<void> {
  while (!stopped) {
    const socket = open()
    let answer = await ask(socket)
    const worker = answer?.replace('!', '').trim()
    while (!stopped && answer !== undefined && !answer.includes('!')) {
      seen.answered++
      await sleep(2)
      answer = await ask(socket)
      if (answer === undefined && worker !== undefined) seen.lost[worker] = (seen.lost[worker] ?? 0) + 1
    }
    socket.destroy()
  }
}

async function askAnew(): Promise<void> {
  while (!stopped) {
    const begun = performance.now()
    const socket = open()
    const answer = await ask(socket)
    socket.destroy()
    const now = performance.now()
    seen.fresh++
    if (answer === undefined) {
      seen.failed++
      outageSince ??= now
    } else {
      seen.slowestMs = Math.max(seen.slowestMs, now - begun)
      if (outageSince !== undefined && begun >= outageSince) {
        seen.longestOutageMs = Math.max(seen.longestOutageMs, now - outageSince)
        outageSince = undefined
      }
    }
    await sleep(2)
  }
}

async function main(): Promise<void> {
  const load = [...Array.from({ length: long }, askForLong), ...Array.from({ length: short }, askAnew)]
  process.stdout.write(`${JSON.stringify({ event: 'loading' })}\n`)
  await once(createInterface({ input: process.stdin }), 'line')
  stopped = true
  await Promise.all(load)
  process.stdout.write(`${JSON.stringify({ event: 'loaded', ...seen, lost: JSON.stringify(seen.lost) })}\n`)
  process.stdin.destroy()
}

void main()
