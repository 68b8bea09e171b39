import { closeSync } from 'node:fs'
import { listenError, onAnyAddress, resolveHost } from '../../features/listening.js'
import { openListeningSocket } from '../../native/binding.js'
import type { Bound } from '../../native/binding-types.js'
import type { CheckedPoolListen } from './reactor-pool-options.js'
import { SocketFile } from './socket-file.js'

/** @internal Listening sockets of one address, from which no worker accepts yet. */
export interface OpenedSockets {
  readonly bound: Bound
  readonly descriptors: readonly number[]
  readonly file: SocketFile | undefined
}

/** @internal Opens `count` sockets, or none. Rejects as `reactor.listen()` does. */
export async function openSockets(
  listen: CheckedPoolListen,
  count: number,
  cpus: readonly number[] | undefined,
): Promise<OpenedSockets> {
  const { spec } = listen.checked
  const host = await resolveHost(spec.host)
  return onAnyAddress({ ...spec, host }, (on) => open({ ...spec, host: on }, listen, count, cpus))
}

function open(
  spec: CheckedPoolListen['checked']['spec'],
  { placement, reusePort }: CheckedPoolListen,
  count: number,
  cpus: readonly number[] | undefined,
): OpenedSockets {
  const descriptors: number[] = []
  let bound: Bound | undefined
  for (let at = 0; at < count; at++) {
    // The kernel counts them in the order of their listen(2), and gets the steering with the last.
    const steers = placement === 'cpu' && at === count - 1
    const opened = openListeningSocket({
      ...spec,
      port: bound?.address[1] ?? spec.port,
      reusePort: bound !== undefined || reusePort,
      // The first shares the port only once it is bound, so it is refused if another process has the address already.
      reusePortOnceBound: bound === undefined && placement !== 'least-connections' && !reusePort,
      steerByCpu: steers ? Array.from({ length: count }, (_, worker) => cpuOf(worker, cpus)) : undefined,
    })
    if ('errno' in opened) {
      descriptors.forEach(closeSync)
      throw listenError(opened, spec)
    }
    bound ??= opened
    descriptors.push(opened.fd)
  }
  const file = spec.path === undefined ? undefined : new SocketFile(spec.path)
  return { bound: bound as Bound, descriptors, file }
}

/** @internal Closes sockets from which no worker will accept. */
export function closeSockets({ descriptors, file }: OpenedSockets): void {
  file?.remove()
  descriptors.forEach((fd) => {
    closeSync(fd)
  })
}

function cpuOf(worker: number, cpus: readonly number[] | undefined): number {
  return cpus?.[worker % cpus.length] ?? worker
}
