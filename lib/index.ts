export type { ConnectionId } from './base/connection-id.js'
export { C1mError, type ErrorCode, type SystemError } from './base/errors.js'
export { Connection, type Handlers } from './connection/connection.js'
export type { FileSource, SendFileOptions } from './connection/send-file.js'
export type { AdoptOptions } from './features/adopt.js'
export type { BroadcastResult } from './features/broadcast.js'
export type { ConnectOptions, ConnectSettings } from './features/connect-options.js'
export { ConnectionMap } from './features/connection-map.js'
export { type BroadcastOptions, Group } from './features/group.js'
export type { ListenOptions, ListenSettings, Placement } from './features/listen-options.js'
export type { RebalanceOptions } from './features/rebalance.js'
export { type RelayOptions, type RelayResult, relay } from './features/relay.js'
export type { ShutdownResult } from './features/shutdown.js'
export { writeFrame } from './features/write-frame.js'
export { Listener } from './listener.js'
export type { TimeoutKind } from './native/layout.js'
export type { ConnectionOptions } from './options/connection-options.js'
export {
  type DelimitedOptions,
  delimited,
  type Framing,
  type LengthPrefixedOptions,
  lengthPrefixed,
} from './options/framing.js'
export type { CloseError } from './options/handlers.js'
export type { IoThreadsOptions, ReactorOptions } from './options/reactor-options.js'
export type { AppliedSocketOptions, KeepAliveOptions, SocketOptions } from './options/socket-options.js'
export type { TcpInfo, TcpState } from './options/tcp-info.js'
export type { Timeouts } from './options/timeouts.js'
export { isPoolWorker } from './pool/pool-role.js'
export { PoolListener } from './pool/reactors/pool-listener.js'
export {
  type PoolWorkerStats,
  ReactorPool,
  type ReactorPoolStats,
  type WorkerCrash,
} from './pool/reactors/reactor-pool.js'
export type {
  PoolListenOptions,
  PoolListenSettings,
  PoolPlacement,
  ReactorPoolOptions,
} from './pool/reactors/reactor-pool-options.js'
export type { WorkerExit } from './pool/reactors/worker-channel.js'
export { type ReactorPoolSetup, WorkerContext } from './pool/reactors/worker-context.js'
export { RemoteConnection } from './pool/tasks/remote-connection.js'
export { type Percentiles, WorkerPool, type WorkerPoolStats } from './pool/tasks/worker-pool.js'
export type {
  RunOptions,
  WorkerPoolOptions,
  WorkerPoolTask,
  WorkerPoolTaskContext,
} from './pool/tasks/worker-pool-options.js'
export { Reactor, type ReactorStats, type Saturated } from './reactor.js'
export { Watch, type WatchEvents, type WatchHandler, type WatchInterest } from './thread/watch.js'
