import cluster from 'node:cluster'
import { availableParallelism } from 'node:os'
import type { ResourceLimits } from 'node:worker_threads'
import { invalidType, invalidValue } from '../../base/errors.js'
import { checkInteger, checkKeys, checkObject, checkOneOf, checkString, keysOf } from '../../base/validate.js'
import { checkListenOptions, type ListenSettings } from '../../features/listen-options.js'
import { checkCpus, checkReactorOptions, type ReactorOptions } from '../../options/reactor-options.js'
import { checkModule } from '../module-url.js'
import { modulesWith } from '../pool-role.js'

/** Options of a `ReactorPool`. */
export interface ReactorPoolOptions {
  /**
   * The module that each worker loads, and that exports `setup(reactor, context)`. An absolute path or a `file:` URL.
   * See `ReactorPoolSetup`.
   */
  module: string | URL
  /** Workers. 1 to 1024. Default: one for each CPU that this process may use. */
  size?: number | undefined
  /**
   * `'threads'`: worker_threads. They share the process: its memory limits, its descriptors, its end.
   * `'processes'`: child processes, each with a descriptor limit and a crash domain of its own. Default: `'threads'`.
   */
  mode?: 'threads' | 'processes' | undefined
  /**
   * Milliseconds that a worker may take until its `setup` has returned, and resolved; then it is ended, and counts as
   * failed to start. 0 is no limit. 0 to 2^31-1. Default: 30,000.
   */
  startTimeoutMs?: number | undefined
  /** Options of each worker's reactor. */
  reactor?: ReactorOptions | undefined
  /**
   * The CPUs of the workers, one each, in turn: their I/O threads are pinned there, and `placement: 'cpu'` steers to a
   * worker what its CPU receives. 0 to 1023. Default: not pinned; and `'cpu'` gives worker i what CPU i receives.
   */
  cpus?: readonly number[] | undefined
  /** The value of which each worker has a clone as `context.data`. */
  data?: unknown
  /**
   * Descriptors that each worker process may have open, up to the hard limit of this one. 64 to 2^30. (setrlimit(2))
   */
  maxOpenFiles?: number | undefined
  /** Limits of each worker thread, as for `new Worker()`. */
  resourceLimits?: ResourceLimits | undefined
  /** Environment variables of the workers. Default: those of this process. */
  env?: NodeJS.ProcessEnv | undefined
  /**
   * Options of Node for the workers; those that say what to run (`-e`, `-p`, `--test` and the like) are left out.
   * Default: those of this process, for worker processes without `--inspect`.
   */
  execArgv?: readonly string[] | undefined
}

/**
 * The rule for which worker accepts the connections of a pool's listener.
 *
 * - `'reuse-port'`: each worker, from a socket of its own with the same address; the kernel chooses among them by a
 *   hash of both addresses and ports. (SO_REUSEPORT, socket(7))
 * - `'cpu'`: the same, but the worker of the CPU on which the kernel received the connection, see `cpus`.
 *   (SO_ATTACH_REUSEPORT_CBPF, socket(7))
 * - `'least-connections'`: this thread, which hands each to the worker with the fewest. The most even distribution, and
 *   slower to accept.
 */
export type PoolPlacement = 'reuse-port' | 'cpu' | 'least-connections'

/** The options of `pool.listen()`, one by one: those of `reactor.listen()`, except for the acceptor. */
export interface PoolListenSettings extends Omit<ListenSettings, 'placement' | 'exclusive' | 'fd' | 'data'> {
  /**
   * The name of the handlers among those that `setup` returned. Default: the value that it returned is the handlers.
   */
  handlers?: string | undefined
  /**
   * The acceptor of the connections. Default: `'reuse-port'`; `'least-connections'` on a Unix socket, which supports
   * only that.
   */
  placement?: PoolPlacement | undefined
}

/** Address and options of a pool's listener: a `port` (TCP), or a `path` (Unix socket). */
export type PoolListenOptions = PoolListenSettings &
  ({ port: number; path?: undefined } | { path: string; port?: undefined; host?: undefined })

/** @internal */
export interface CheckedPool {
  readonly module: string
  /** The modules of the pools that its workers belong to, see `modulesWith()`. */
  readonly modules: readonly string[]
  readonly size: number
  readonly mode: 'threads' | 'processes'
  readonly startTimeoutMs: number
  readonly reactor: ReactorOptions | undefined
  /** The max number of connections of each worker's reactor. */
  readonly maxConnections: number
  readonly cpus: readonly number[] | undefined
  readonly data: unknown
  readonly maxOpenFiles: number | undefined
  readonly resourceLimits: ResourceLimits | undefined
  readonly env: NodeJS.ProcessEnv | undefined
  readonly execArgv: readonly string[] | undefined
}

const DEFAULT_START_TIMEOUT_MS = 30_000

const poolOptionKeys = keysOf<ReactorPoolOptions>({
  module: true,
  size: true,
  mode: true,
  startTimeoutMs: true,
  reactor: true,
  cpus: true,
  data: true,
  maxOpenFiles: true,
  resourceLimits: true,
  env: true,
  execArgv: true,
})

/** @internal */
export function checkPoolOptions(options: ReactorPoolOptions): CheckedPool {
  if (options === undefined) throw invalidType('options', 'an object', options)
  const given = checkObject('options', options)
  checkKeys('options', given, poolOptionKeys, { filename: 'module' })
  const { size = availableParallelism(), startTimeoutMs = DEFAULT_START_TIMEOUT_MS } = given
  const { reactor, data, resourceLimits, env, execArgv, maxOpenFiles } = given
  const mode = checkOneOf('mode', given.mode ?? 'threads', ['threads', 'processes'])
  checkObject('reactor', reactor)
  const { maxConnections } = checkReactorOptions(reactor)
  if (mode === 'threads' && maxOpenFiles !== undefined) {
    throw invalidValue('"maxOpenFiles" is for worker processes: threads share the limit of this process')
  }
  if (mode === 'processes' && resourceLimits !== undefined) {
    throw invalidValue('"resourceLimits" are for worker threads: a process has V8\'s limits in its "execArgv"')
  }
  if (maxOpenFiles !== undefined) checkInteger('maxOpenFiles', maxOpenFiles, 64, 2 ** 30)
  checkObject('resourceLimits', resourceLimits)
  checkObject('env', env)
  if (execArgv !== undefined && !Array.isArray(execArgv)) throw invalidType('execArgv', 'an array', execArgv)
  for (const option of execArgv ?? []) checkString('execArgv', option)
  const module = checkModule('module', given.module)
  return {
    module,
    modules: modulesWith('module', module),
    size: checkInteger('size', size, 1, 1024),
    mode,
    startTimeoutMs: checkInteger('startTimeoutMs', startTimeoutMs, 0, 2 ** 31 - 1),
    reactor,
    maxConnections,
    cpus: checkPoolCpus(given.cpus, reactor),
    data,
    maxOpenFiles,
    resourceLimits,
    env,
    execArgv,
  }
}

function checkPoolCpus(given: unknown, reactor: ReactorOptions | undefined): readonly number[] | undefined {
  if (given === undefined) return undefined
  const cpus = checkCpus('cpus', given)
  if (cpus.length === 0) throw invalidValue('"cpus" must have at least one CPU')
  if (typeof reactor?.ioThreads === 'object' && reactor.ioThreads.cpus !== undefined) {
    throw invalidValue('"cpus" and "reactor.ioThreads.cpus" both pin the I/O threads: give one of them')
  }
  return cpus
}

/** @internal The options, divided. */
export interface CheckedPoolListen {
  readonly handlers: string | undefined
  readonly placement: PoolPlacement
  readonly reusePort: boolean
  readonly options: ListenSettings
  readonly checked: ReturnType<typeof checkListenOptions>
}

/** @internal */
export function checkPoolListen(given: PoolListenOptions): CheckedPoolListen {
  if (given === undefined) throw invalidType('options', 'an object', given)
  const { handlers, placement: asked, ...options } = checkObject('options', given)
  if (handlers !== undefined) checkString('handlers', handlers)
  for (const name of ['fd', 'exclusive', 'data'] as const) {
    if ((options as ListenSettings)[name] !== undefined) throw invalidValue(`A pool's listener has no "${name}"`)
  }
  const placement = checkOneOf(
    'placement',
    asked ?? (options.path === undefined ? 'reuse-port' : 'least-connections'),
    ['reuse-port', 'cpu', 'least-connections'],
  )
  const checked = checkListenOptions({ ...options, ...(placement !== 'least-connections' && { placement }) })
  // The default is that of a reactor's own listener in a `cluster` worker.
  const { reusePort = cluster.isWorker && options.path === undefined && placement !== 'cpu' } = options
  return { handlers, placement, reusePort, options, checked }
}
