import type { AddressInfo } from 'node:net'
import {
  type AppliedSocketOptions,
  C1mError,
  type Connection,
  type ErrorCode,
  type Listener,
  type Reactor,
  type ReactorStats,
  type ShutdownResult,
  type SystemError,
  type TcpInfo,
  type TcpState,
} from 'c1m'
import { holds, type Same } from './same.js'

// Compiled, and never run: the results of methods.

export async function connection(conn: Connection): Promise<void> {
  holds<Same<ReturnType<typeof conn.write>, boolean>>()
  holds<Same<ReturnType<typeof conn.end>, boolean>>()
  holds<Same<ReturnType<typeof conn.destroy>, boolean>>()
  holds<Same<ReturnType<typeof conn.reset>, boolean>>()
  holds<Same<ReturnType<typeof conn.pause>, boolean>>()
  holds<Same<ReturnType<typeof conn.resume>, boolean>>()
  holds<Same<ReturnType<typeof conn.setTimeout>, boolean>>()
  holds<Same<typeof conn.remoteAddress, string | undefined>>()
  holds<Same<typeof conn.remotePort, number | undefined>>()
  holds<Same<typeof conn.remoteFamily, 'IPv4' | 'IPv6' | undefined>>()
  holds<Same<typeof conn.writableLength, number>>()

  const info = await conn.tcpInfo()
  holds<Same<typeof info, TcpInfo>>()
  holds<Same<typeof info.state, TcpState>>()
  holds<Same<typeof info.rttMicros, number>>()
  // Fields that not every kernel reports may be missing.
  holds<Same<typeof info.bytesSent, number | undefined>>()

  const applied = await conn.setOptions({ noDelay: true })
  holds<Same<typeof applied, AppliedSocketOptions>>()
  holds<Same<Awaited<ReturnType<typeof conn.getOptions>>, AppliedSocketOptions>>()
  // @ts-expect-error: it was read, not set
  applied.noDelay = false

  conn.write('text', 'latin1')
  conn.write(new Uint8Array(3))
  conn.write(Buffer.from('x'))
  conn.end()
  conn.destroy(new Error('why'))
  // @ts-expect-error: no such encoding
  conn.write('text', 'utf-9')
  // @ts-expect-error: node:net's callback: see `drain`
  conn.write('text', () => {})
  // @ts-expect-error: bytes or text
  conn.write(1)
  // @ts-expect-error: bytes or text
  conn.write({ toString: () => 'text' })
  // @ts-expect-error: an Error
  conn.destroy('why')
  // @ts-expect-error: a number, and no callback
  conn.setTimeout(1000, () => {})
  // @ts-expect-error: a connection is no EventEmitter
  conn.on('data', () => {})
}

export function reactor(reactor: Reactor): void {
  const stats = reactor.stats()
  holds<Same<typeof stats, ReactorStats>>()
  holds<Same<typeof stats.accepted, number>>()
  holds<Same<typeof stats.connections, number>>()
  holds<Same<(typeof stats.ioThreads)[number]['cpuMicros'], number>>()
  // @ts-expect-error: no such counter
  void stats.refused
  holds<Same<ReturnType<typeof reactor.shutdown>, Promise<ShutdownResult>>>()
  // Both return the reactor, so that calls can be chained.
  holds<Same<ReturnType<Reactor['ref']>, Reactor>>()
  holds<Same<ReturnType<Reactor['unref']>, Reactor>>()
}

export function listener(listener: Listener): void {
  holds<Same<ReturnType<typeof listener.address>, AddressInfo | string>>()
  holds<Same<typeof listener.port, number | undefined>>()
  holds<Same<typeof listener.options, AppliedSocketOptions>>()
  holds<Same<ReturnType<typeof listener.close>, Promise<void>>>()
}

export function errors(error: unknown): void {
  if (error instanceof C1mError) {
    holds<Same<typeof error.code, ErrorCode>>()
    // @ts-expect-error: no such code
    void (error.code === 'ERR_C1M_NONSENSE')
  }
  const { code, errno, syscall, address, port } = error as SystemError
  holds<Same<typeof code, string>>()
  holds<Same<typeof errno, number>>()
  holds<Same<typeof syscall, string>>()
  holds<Same<typeof address, string | undefined>>()
  holds<Same<typeof port, number | undefined>>()
}
