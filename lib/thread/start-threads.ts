import { outOfRange } from '../base/errors.js'
import { IoThread } from './io-thread.js'
import type { IoThreadOwner } from './io-thread-owner.js'

/** @internal Starts the I/O threads of a reactor: all of them, or none. */
export function startThreads(count: number, owner: IoThreadOwner): IoThread[] {
  const threads: IoThread[] = []
  try {
    while (threads.length < count) threads.push(new IoThread(threads.length, owner))
  } catch (error) {
    for (const thread of threads) thread.close()
    const { code } = error as { code?: string }
    const cpu = owner.cpus[threads.length] as number
    if (code === 'EINVAL' && cpu >= 0) throw outOfRange('ioThreads.cpus', 'CPUs on which this process may run', cpu)
    throw error
  }
  return threads
}
