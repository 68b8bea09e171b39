import { availableParallelism } from 'node:os'
import { MAX_SLOTS, MAX_THREADS } from '../base/connection-id.js'
import { invalidType } from '../base/errors.js'
import { checkBoolean, checkInteger, checkKeys, checkObject, checkOneOf, keysOf } from '../base/validate.js'

/** Options of a `Reactor`. */
export interface ReactorOptions {
  /**
   * The max number of connections at the same time, over all listeners. At the limit the listeners stop accepting, and
   * new connections wait in the kernel's backlog; accepting continues once 1/32 of the limit (at least one) has become
   * free.
   * Each costs 12 bytes of address space, used or not.
   * An integer from 1 to 16,777,216. Default: 1,048,576 (Linux's default `fs.nr_open`).
   */
  maxConnections?: number | undefined
  /**
   * The way in which the kernel reports readiness: `'edge'` registers each socket once (EPOLLET), `'level'` changes the
   * registration as interest changes. It exists for comparison; the behaviour is the same. Default: `'edge'`.
   */
  trigger?: 'edge' | 'level' | undefined
  /**
   * Overwrites every borrowed chunk with 0xDD when its handler returns, so that code that keeps one fails immediately
   * instead of seldom. Default: `false`.
   */
  poisonBorrowed?: boolean | undefined
  /**
   * The number of I/O threads that serve the connections, or more options of them. 1 to 64; `'auto'` is one for each
   * CPU but one, which is for handlers. Each is a loop of its own; a connection stays on one. Default: 1, which only
   * partly feeds a busy JS thread with simple handlers: see the guide on capacity.
   */
  ioThreads?: number | 'auto' | IoThreadsOptions | undefined
}

/** The I/O threads of a `Reactor`. */
export interface IoThreadsOptions {
  /** The number of threads, 1 to 64, or `'auto'`. Default: the number of `cpus`, or else 1. */
  count?: number | 'auto' | undefined
  /**
   * The CPUs to which the threads are pinned, one each, in turn if there are more threads than CPUs; 0 to 1023.
   * Default: they run where this thread may run. (pthread_attr_setaffinity_np(3))
   */
  cpus?: readonly number[] | undefined
  /**
   * Gives each thread a file table of its own, so that RLIMIT_NOFILE and `fs.nr_open` apply to each separately: 16
   * threads hold 16 times as many connections as the limit allows a process. Adopted sockets and descriptors of files
   * are passed between the tables, and nothing else changes. Needs Linux 5.9; where the kernel or a sandbox lacks the
   * system calls, the constructor throws ERR_C1M_UNSUPPORTED_OPTION. Default: `false`.
   * (close_range(2) with CLOSE_RANGE_UNSHARE, pidfd_getfd(2), SCM_RIGHTS)
   */
  ownFileTable?: boolean | undefined
}

const reactorOptionKeys = keysOf<ReactorOptions>({
  maxConnections: true,
  trigger: true,
  poisonBorrowed: true,
  ioThreads: true,
})
const ioThreadsOptionKeys = keysOf<IoThreadsOptions>({ count: true, cpus: true, ownFileTable: true })

/** @internal */
export function checkReactorOptions(options: ReactorOptions | undefined): {
  maxConnections: number
  level: boolean
  poisonBorrowed: boolean
  cpus: readonly number[]
  ownFileTable: boolean
} {
  const given = checkObject('options', options)
  checkKeys('options', given, reactorOptionKeys)
  const { maxConnections = 2 ** 20, trigger = 'edge', poisonBorrowed = false, ioThreads = 1 } = given
  return {
    maxConnections: checkInteger('maxConnections', maxConnections, 1, MAX_SLOTS),
    level: checkOneOf('trigger', trigger, ['edge', 'level']) === 'level',
    poisonBorrowed: checkBoolean('poisonBorrowed', poisonBorrowed),
    ...checkIoThreads(ioThreads),
  }
}

/** The CPU of a thread that isn't pinned. */
const ANY_CPU = -1

/** Returns a CPU for each thread, and whether they have their own file tables. */
function checkIoThreads(ioThreads: Exclude<ReactorOptions['ioThreads'], undefined>): {
  cpus: number[]
  ownFileTable: boolean
} {
  if (typeof ioThreads !== 'object') {
    return { cpus: Array<number>(checkCount('ioThreads', ioThreads)).fill(ANY_CPU), ownFileTable: false }
  }
  const given = checkObject('ioThreads', ioThreads)
  checkKeys('ioThreads', given, ioThreadsOptionKeys)
  const { cpus = [] } = given
  checkCpus('ioThreads.cpus', cpus)
  const count = checkCount('ioThreads.count', given.count ?? Math.max(cpus.length, 1))
  return {
    cpus: Array.from({ length: count }, (_, at) => cpus[at % cpus.length] ?? ANY_CPU),
    ownFileTable: checkBoolean('ioThreads.ownFileTable', given.ownFileTable ?? false),
  }
}

/** @internal Checks numbers of CPUs. */
export function checkCpus(name: string, cpus: unknown): readonly number[] {
  if (!Array.isArray(cpus)) throw invalidType(name, 'an array', cpus)
  for (const [at, cpu] of cpus.entries()) checkInteger(`${name}[${at}]`, cpu, 0, 1023)
  return cpus
}

function checkCount(name: string, count: number | 'auto'): number {
  if (count === 'auto') return Math.min(Math.max(availableParallelism() - 1, 1), MAX_THREADS)
  if (typeof count !== 'number') throw invalidType(name, "a number or 'auto'", count)
  return checkInteger(name, count, 1, MAX_THREADS)
}
