import { type Connection, type RelayOptions, type RelayResult, relay } from 'c1m'
import type { Same } from './same.js'

declare const client: Connection<{ name: string }>
declare const upstream: Connection

export async function use(): Promise<void> {
  const result: RelayResult = await relay(client, upstream, { idleTimeoutMs: 1000, signal: AbortSignal.timeout(5) })
  const reason: Same<typeof result.reason, 'end' | 'error' | 'destroyed' | 'timeout' | 'aborted'> = true
  const side: Same<typeof result.side, 'a' | 'b' | undefined> = true
  void [reason, side, result.bytesFromA + result.bytesFromB]
  const none: RelayOptions = {}
  await relay(upstream, client, none)
  // @ts-expect-error no such option
  await relay(client, upstream, { timeout: 5 })
  // @ts-expect-error a connection is missing
  await relay(client)
  // @ts-expect-error not a connection
  await relay(client, process.stdout)
}
