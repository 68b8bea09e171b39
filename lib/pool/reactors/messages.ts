import { C1mError } from '../../base/errors.js'
import type { ListenSettings } from '../../features/listen-options.js'
import type { FramingSpec } from '../../native/binding-types.js'
import { delimited, type Framing, lengthPrefixed } from '../../options/framing.js'
import type { ReactorOptions } from '../../options/reactor-options.js'
import type { Wire } from '../wire-error.js'

const MARK = 'c1m:reactor-pool'

/** @internal Wraps a message in the pool's envelope, because the user may use a process's IPC channel as well. */
export function sealed(message: ToWorker | FromWorker): object {
  return { [MARK]: message }
}

/** @internal Returns the pool's message; `undefined` for a message of the user's. */
export function unsealed<M extends ToWorker | FromWorker>(value: unknown): M | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, M | undefined>)[MARK] : undefined
}

/** @internal A message from a pool to its workers. The reply to `ask` carries the same number. */
export type ToWorker =
  | { readonly type: 'start'; readonly start: WorkerStart }
  | { readonly type: 'listen'; readonly ask: number; readonly listen: WorkerListen; readonly fd?: number }
  | {
      readonly type: 'unlisten'
      readonly ask: number
      readonly listener: number
      readonly socket: number | undefined
    }
  | { readonly type: 'connection'; readonly listener: number; readonly fd?: number }
  | { readonly type: 'broadcast'; readonly ask: number; readonly bytes: Uint8Array }
  | { readonly type: 'stats'; readonly ask: number }
  | { readonly type: 'shutdown'; readonly ask: number; readonly timeoutMs: number }
  | { readonly type: 'message'; readonly value: unknown }
  /** The number of the worker's messages that the pool has taken since the worker's start. */
  | { readonly type: 'taken'; readonly messages: number }

/** @internal A message from a worker to its pool. */
export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly error: Wire }
  | { readonly type: 'reply'; readonly ask: number; readonly value?: unknown; readonly error?: Wire }
  /** The number of connections open now; and what it has taken since its start. */
  | { readonly type: 'load'; readonly connections: number; readonly taken: Taken }
  | { readonly type: 'message'; readonly value: unknown }

/** @internal What a worker has taken since its start: connections that were handed over, and the user's messages. */
export interface Taken {
  readonly connections: number
  readonly messages: number
}

/** @internal */
export interface WorkerStart {
  readonly index: number
  readonly module: string
  /** The modules of the pools that it belongs to, see `modulesWith()`. */
  readonly modules: readonly string[]
  readonly data: unknown
  readonly reactor: ReactorOptions | undefined
  /** The limit for a worker process. */
  readonly maxOpenFiles: number | undefined
}

/** @internal The data of a listener for a worker. */
export interface WorkerListen {
  readonly listener: number
  /** The socket that it accepts from, which comes with the message; without it connections are handed over. */
  readonly socket: number | undefined
  readonly handlers: string | undefined
  readonly options: Omit<ListenSettings, 'framing'>
  readonly framing: FramingSpec | undefined
}

/** @internal Returns a framing of the same kind: its class doesn't survive a clone. */
export function framingOf(spec: FramingSpec | undefined): Framing | undefined {
  if (spec === undefined) return undefined
  const { maxFrameBytes } = spec
  if ('delimiter' in spec) return delimited(Buffer.from(spec.delimiter), { maxFrameBytes })
  return lengthPrefixed({
    bytes: spec.lengthBytes as 1 | 2 | 4,
    endian: spec.littleEndian ? 'little' : 'big',
    includesHeader: spec.includesHeader,
    maxFrameBytes,
  })
}

/** @internal */
export function workerFailed(index: number, what: string, cause?: Error): C1mError {
  const error = new C1mError('ERR_C1M_WORKER_FAILED', `Worker ${index} ${what}`)
  return cause === undefined ? error : Object.assign(error, { cause })
}
