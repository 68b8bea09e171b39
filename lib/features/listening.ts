import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { systemError } from '../base/errors.js'
import type { ConnectionContext } from '../connection/connection.js'
import { closeOn } from '../listener.js'
import type { Bound, Failure, ListenSpec } from '../native/binding-types.js'
import { PLACEMENTS } from '../native/layout.js'
import { failureOf } from '../options/socket-options.js'
import type { IoThread } from '../thread/io-thread.js'
import type { Placement } from './listen-options.js'

/** @internal A listener to be opened on the I/O threads of a reactor. */
export interface Opening {
  readonly spec: Omit<ListenSpec, keyof typeof ALONE>
  readonly placement: Placement
  /** The settings of its connections on this thread. */
  context(io: IoThread): ConnectionContext
  /** Called when the address is known, before the first connection opens. */
  bound(reply: Bound): void
}

/** The settings of a thread that accepts for itself alone. */
const ALONE = { accepts: true, reusePortOnceBound: false, steerByCpu: undefined, spread: undefined } as const

/**
 * @internal Opens the listener on `parts`, the threads that it concerns; the thread that accepts for others comes
 * first.
 */
export async function openOn(parts: readonly IoThread[], opening: Opening): Promise<Bound | Failure> {
  const [home, ...others] = parts
  if (home === undefined) throw new RangeError('A listener needs a thread')
  if (others.length === 0) return orCloseAll(parts, opening, await openPart(home, opening, {}))
  const chosen = PLACEMENTS.indexOf(opening.placement as (typeof PLACEMENTS)[number])
  return chosen === -1 ? openEach(parts, opening) : openForAll(home, others, opening, chosen)
}

/** Opens one socket, whose thread accepts and hands connections to the others. */
async function openForAll(
  home: IoThread,
  others: readonly IoThread[],
  opening: Opening,
  placement: number,
): Promise<Bound | Failure> {
  const all = [home, ...others]
  const known = await Promise.all(others.map((thread) => openPart(thread, opening, { accepts: false })))
  const failure = known.find((reply) => 'errno' in reply)
  if (failure !== undefined) return orCloseAll(all, opening, failure)
  const threads = all.map(({ native }) => native)
  return orCloseAll(all, opening, await openPart(home, opening, { spread: { placement, threads } }))
}

/** Opens a socket with the same address for each thread; the kernel chooses among them. */
async function openEach(threads: readonly IoThread[], opening: Opening): Promise<Bound | Failure> {
  const [first, ...others] = threads
  const { spec } = opening
  let reply = await openPart(first as IoThread, opening, { reusePortOnceBound: !spec.reusePort })
  if ('errno' in reply) return orCloseAll(threads, opening, reply)
  const port = reply.address[1]
  // The sockets are opened one after the other: steering counts them in this order, and is set up with the last.
  for (const [at, thread] of others.entries()) {
    const steers = opening.placement === 'cpu' && at === others.length - 1
    const steerByCpu = steers ? threads.map(({ cpu, index }) => (cpu < 0 ? index : cpu)) : undefined
    const shared = { ...opening, spec: { ...spec, port, reusePort: true }, bound: () => {} }
    const next = await openPart(thread, shared, { steerByCpu })
    if ('errno' in next) {
      reply = next
      break
    }
  }
  return orCloseAll(threads, opening, reply)
}

/** Closes a listener on all threads if it could not be opened on one, or memory was lacking for the reply. */
async function orCloseAll(threads: readonly IoThread[], { spec }: Opening, reply: Bound | Failure) {
  if ('errno' in reply) await closeOn(threads, spec.connections.context)
  return reply
}

function openPart(thread: IoThread, opening: Opening, how: Partial<Pick<ListenSpec, keyof typeof ALONE>>) {
  const { spec } = opening
  return thread.listen({ ...spec, ...ALONE, ...how }, opening.context(thread), (reply) => {
    if (how.accepts !== false) opening.bound(reply)
  })
}

type Where = Pick<ListenSpec, 'fd' | 'host' | 'port' | 'path'>

/** @internal Opens without a host on `::`, or on `0.0.0.0` if the system has no IPv6. */
export async function onAnyAddress<L>(
  { host, path, fd }: Where,
  open: (host: string | undefined) => L | Promise<L>,
): Promise<L> {
  if (host !== undefined || path !== undefined || fd !== undefined) return open(host)
  try {
    return await open('::')
  } catch (error) {
    const { code } = error as { code?: string }
    if (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL') return open('0.0.0.0')
    throw error
  }
}

/** @internal Resolves with the address of a host name; literals and `undefined` stay as they are. */
export async function resolveHost(host: string | undefined): Promise<string | undefined> {
  if (host === undefined || isIP(host.replace(/%.*$/, '')) !== 0) return host
  return (await lookup(host)).address
}

/** @internal */
export function listenError(failure: Failure, { path, host, port }: Where): Error {
  if (failure.option !== undefined) return failureOf(failure)
  // The calls socket(2), bind(2) and listen(2) share one name, as in `node:net`, because programs compare it.
  const about = { address: path ?? host, ...(path === undefined && { port }) }
  return systemError(failure.errno, 'listen', about, true)
}
