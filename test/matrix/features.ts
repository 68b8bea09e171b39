import { PEERS, type PeerKind } from './far.js'

/**
 * The features that may meet on one connection, what the matrix does with each, and the guarantees that it concerns, in
 * addition to the first and the eleventh, which always apply (docs/guarantees.md).
 */
export const FEATURES = {
  write: { title: 'write', does: '`conn.write()` of a few bytes, and of 400 KB', guarantees: [2, 4] },
  file: { title: 'file', does: '`conn.sendFile()` of a range of 400 KB', guarantees: [2, 4, 6] },
  broadcast: { title: 'broadcast', does: '`group.broadcast()` of 300 KB to a group that it is in', guarantees: [2, 6] },
  remote: { title: "worker's write", does: '`write()` in a task of a `WorkerPool`, three times', guarantees: [2, 6] },
  framing: { title: 'framing', does: 'a length-prefixed framing from the start; frames come and go', guarantees: [2] },
  reframe: { title: 'change of framing', does: '`conn.setFraming()`; frames come', guarantees: [2] },
  pause: { title: 'pause', does: '`conn.pause()`; bytes come; `resume()` a while later', guarantees: [5] },
  relay: { title: 'relay', does: '`relay()` with a second connection; bytes come on both', guarantees: [4, 5, 6, 8] },
  move: {
    title: 'move',
    does: 'to another I/O thread, as `rebalance()` does; with one thread, `rebalance()`',
    guarantees: [6, 8],
  },
  detach: { title: 'detach', does: '`conn.detach()`; the socket writes and reads on', guarantees: [4, 5, 6, 8] },
  adopt: {
    title: 'adopt',
    does: 'first: `reactor.adopt()`. Second: `detach()`, and `adopt()` of that socket',
    guarantees: [6, 8],
  },
  connect: { title: 'connect', does: '`reactor.connect()`', guarantees: [6] },
  halfClose: { title: 'half-close', does: "the peer's FIN, with `allowHalfOpen`", guarantees: [2] },
  idle: { title: 'idle timeout', does: '`setTimeouts({ idleMs })`, without a `timeout` handler', guarantees: [3, 7] },
  read: { title: 'read timeout', does: '`setTimeouts({ readMs })`, likewise', guarantees: [3, 7] },
  writeTimeout: { title: 'write timeout', does: '`setTimeouts({ writeMs })`, likewise', guarantees: [3, 7] },
  total: { title: 'total timeout', does: '`setTimeouts({ totalMs })`, likewise', guarantees: [3, 7] },
  end: { title: 'end', does: '`conn.end()` with a chunk', guarantees: [2, 4] },
  destroy: { title: 'destroy', does: '`conn.destroy()` with a reason', guarantees: [3, 5, 7] },
  reset: { title: 'reset', does: '`conn.reset()`', guarantees: [3, 5, 7] },
  listener: { title: "listener's close", does: '`listener.close()` of the one that accepted it', guarantees: [6] },
  shutdown: { title: 'shutdown', does: '`reactor.shutdown()`', guarantees: [3, 7, 10] },
  task: { title: 'pool task', does: '`pool.run()` for the connection, whose result is written', guarantees: [6] },
  throw: { title: 'exception', does: 'the next handler throws', guarantees: [9] },
  unref: { title: 'unref', does: '`reactor.unref()`; the process ends with the connection open', guarantees: [12] },
} as const
export type Feature = keyof typeof FEATURES
export const NAMES = Object.keys(FEATURES) as Feature[]

export const GAPS = {
  tick: 'both in the same tick, within a handler',
  turn: "a turn of Node's loop between them",
} as const
export type Gap = keyof typeof GAPS
export const THREADS = [1, 3] as const

const TIMEOUTS: Partial<Record<Feature, string>> = {
  idle: 'ERR_C1M_IDLE_TIMEOUT',
  read: 'ERR_C1M_READ_TIMEOUT',
  writeTimeout: 'ERR_C1M_WRITE_TIMEOUT',
  total: 'ERR_C1M_CONNECTION_TIMEOUT',
}

/** Features of the reactor, which may come before there is a connection. */
const OF_THE_REACTOR: readonly Feature[] = ['shutdown', 'unref']

/** Returns the reason why a pair is impossible in this order, or undefined. */
export function impossible(first: Feature, second: Feature): string | undefined {
  if (second === 'connect' && !OF_THE_REACTOR.includes(first)) {
    return first === 'connect' || first === 'adopt'
      ? 'a connection is established once'
      : 'before `connect()` there is no connection to do anything with'
  }
  if (first === 'connect' && second === 'listener') return 'no listener has accepted an outgoing connection'
  if (first === 'adopt' && second === 'listener') return 'no listener has accepted an adopted connection'
  return undefined
}

/** Returns the codes that `close` may get when these features meet. */
export function closeCodes(features: readonly Feature[], peer: PeerKind, gap: Gap): string[] {
  const codes = features.flatMap((feature) => TIMEOUTS[feature] ?? [])
  if (peer === 'resets') codes.push('ECONNRESET', 'EPIPE')
  // Some stuck connections are left to the shutdown at the end, which cuts them at its deadline.
  if (peer === 'stuck' && (gap === 'turn' || features.includes('shutdown'))) codes.push('ERR_C1M_SHUTDOWN')
  if (features.includes('relay')) codes.push('ERR_C1M_RELAY_FAILED')
  return codes
}

export interface Scenario {
  readonly first: Feature
  readonly second: Feature
  readonly gap: Gap
  readonly peer: PeerKind
  readonly threads: number
}

export function nameOf({ first, second, gap, peer, threads }: Scenario): string {
  return [first, second, gap, peer, threads].join()
}

/** Returns all scenarios that begin with this feature. */
export function scenariosOf(first: Feature, threads: number): Scenario[] {
  return NAMES.filter((second) => impossible(first, second) === undefined).flatMap((second) =>
    (Object.keys(GAPS) as Gap[]).flatMap((gap) =>
      (Object.keys(PEERS) as PeerKind[]).map((peer) => ({ first, second, gap, peer, threads })),
    ),
  )
}
