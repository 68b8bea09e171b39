import { C1mError } from '../base/errors.js'
import type { Place, Submit } from '../io/io-port.js'
import type { Applied, Closed, Failure } from '../native/binding-types.js'
import {
  type AppliedSocketOptions,
  decodeSocketOptions,
  type EncodedSocketOptions,
  failureOf,
} from '../options/socket-options.js'
import { decodeTcpInfo, type TcpInfo } from '../options/tcp-info.js'

/**
 * Sends a request about a connection. Rejects if it has closed by then, with the system's error, or if too much is in
 * flight.
 */
export async function ask<A extends object>(
  place: Place | undefined,
  submit: (place: Place, batch: number, callback: (reply: A | Failure | Closed) => void) => number,
): Promise<A> {
  place?.io.checkInFlight()
  const reply =
    place === undefined
      ? { closed: true as const }
      : await request<A | Failure | Closed>(place, (batch, callback) => submit(place, batch, callback))
  if ('closed' in reply) throw new C1mError('ERR_C1M_CONNECTION_CLOSED', 'The connection has closed')
  if ('errno' in reply) throw failureOf(reply)
  return reply as A
}

function request<A>({ io, slot }: Place, submit: Submit<A>): Promise<A> {
  // A counted request suspends the delivery of events, and this one waits for events. Its number is limited as the
  // connection's queue is.
  if (io.expected.has(slot)) return io.request(submit)
  return new Promise((resolve) => {
    io.count(submit, resolve)
  })
}

/** Sets these options, if any; resolves with all options. */
export async function applyOptions(
  place: Place | undefined,
  { settings, congestion }: EncodedSocketOptions,
): Promise<AppliedSocketOptions> {
  const reply = await ask<Applied>(place, ({ io, slot, generation }, batch, callback) =>
    io.native.options(batch, callback, slot, generation, settings, congestion),
  )
  return decodeSocketOptions(reply.settings, reply.congestion)
}

export async function readTcpInfo(place: Place | undefined): Promise<TcpInfo> {
  const reply = await ask<{ readonly values: Float64Array }>(place, ({ io, slot, generation }, batch, callback) =>
    io.native.tcpInfo(batch, callback, slot, generation),
  )
  return decodeTcpInfo(reply.values)
}
