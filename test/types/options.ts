import type { ListenOptions, ReactorOptions, SocketOptions } from 'c1m'
import { Reactor } from 'c1m'
import { take } from './same.js'

// Compiled, and never run: the types of options.

export const reactorOptions: ReactorOptions[] = [
  {},
  { maxConnections: 1_200_000, trigger: 'level', poisonBorrowed: true },
  // @ts-expect-error: a number
  { maxConnections: '1000' },
  // @ts-expect-error: edge or level
  { trigger: 'oneshot' },
  // @ts-expect-error: no such option
  { threads: 4 },
]

export const listenOptions: ListenOptions[] = [
  { port: 0 },
  { path: '/run/app.sock' },
  { host: '::', port: 7000, ipv6Only: true, backlog: 511, reusePort: true, exclusive: false, protocol: 'mptcp' },
  { port: 0, read: 'borrowed', highWaterMark: 1, maxWriteQueue: 2, idleTimeoutMs: 3, allowHalfOpen: true },
  { port: 0, readTimeoutMs: 4, writeTimeoutMs: 5, totalTimeoutMs: 6 },
  { port: 0, noDelay: true, keepAlive: { idleMs: 30_000, intervalMs: 5000, count: 3 }, userTimeoutMs: 20_000 },
  { port: 0, keepAlive: true, lingerMs: 0, fastOpen: 128, congestion: 'bbr', incomingCpu: 1, busyPollMicros: 50 },
  // @ts-expect-error: a port is a number here
  { port: '7000' },
  // @ts-expect-error: tcp or mptcp
  { port: 0, protocol: 'udp' },
  // @ts-expect-error: owned or borrowed
  { port: 0, read: 'copied' },
  // @ts-expect-error: node:net's keepAliveInitialDelay is keepAlive.idleMs
  { port: 0, keepAlive: true, keepAliveInitialDelay: 1000 },
  // @ts-expect-error: milliseconds have names that say so
  { port: 0, keepAlive: { idle: 30 } },
  // @ts-expect-error: 0 or false
  { port: 0, lingerMs: 1000 },
  // @ts-expect-error: 0 or false
  { port: 0, lingerMs: true },
  // @ts-expect-error: no such option
  { port: 0, timeout: 1000 },
]

export const socketOptions: SocketOptions[] = [
  {},
  { noDelay: true, quickAck: false, ipTos: 0xb8 },
  // @ts-expect-error: that is not the socket's
  { port: 0 },
  // @ts-expect-error: a boolean
  { noDelay: 1 },
]

export async function shutdowns(): Promise<void> {
  const reactor = new Reactor()
  await reactor.shutdown()
  await reactor.shutdown({})
  const { drained, cut } = await reactor.shutdown({ timeoutMs: 1000 })
  take<number>(drained + cut)
  // @ts-expect-error: an object with timeoutMs
  await reactor.shutdown(1000)
  // @ts-expect-error: timeoutMs
  await reactor.shutdown({ timeout: 1000 })
  // @ts-expect-error: listen(port) is node:net's
  await reactor.listen(7000, {})
}

export const threads = [
  new Reactor({ ioThreads: 4 }),
  new Reactor({ ioThreads: 'auto' }),
  new Reactor({ ioThreads: { count: 'auto', cpus: [0, 1] } }),
  // @ts-expect-error: a number, or 'auto'
  new Reactor({ ioThreads: 'many' }),
]

export function placements(reactor: Reactor): void {
  void reactor.listen({ port: 0, placement: 'round-robin' })
  // @ts-expect-error: none of them
  void reactor.listen({ port: 0, placement: 'random' })
}

/** `undefined` is the same as left out, also under exactOptionalPropertyTypes. */
export const undefinedOptions: ListenOptions = {
  port: 0,
  host: undefined,
  idleTimeoutMs: undefined,
  read: undefined,
  noDelay: undefined,
  keepAlive: undefined,
  placement: undefined,
  data: undefined,
}

// @ts-expect-error: where
export const nowhere: ListenOptions = {}

// @ts-expect-error: a port is TCP's, a path a Unix socket's
export const twoPlaces: ListenOptions = { port: 0, path: '/run/app.sock' }
