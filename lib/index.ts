export type { AdoptOptions } from './adopt.js'
export type { BroadcastResult } from './broadcast.js'
export type { ConnectOptions, ConnectSettings } from './connect-options.js'
export { Connection, type Handlers } from './connection.js'
export type { ConnectionId } from './connection-id.js'
export { ConnectionMap } from './connection-map.js'
export type { ConnectionOptions } from './connection-options.js'
export { C1mError, type ErrorCode, type SystemError } from './errors.js'
export {
  type DelimitedOptions,
  delimited,
  type Framing,
  type LengthPrefixedOptions,
  lengthPrefixed,
} from './framing.js'
export { type BroadcastOptions, Group } from './group.js'
export type { CloseError } from './handlers.js'
export type { TimeoutKind } from './layout.js'
export type { ListenOptions, ListenSettings, Placement } from './listen-options.js'
export { Listener } from './listener.js'
export { PoolListener } from './pool/pool-listener.js'
export { isPoolWorker } from './pool/pool-role.js'
export {
  type PoolWorkerStats,
  ReactorPool,
  type ReactorPoolStats,
  type WorkerCrash,
} from './pool/reactor-pool.js'
export type {
  PoolListenOptions,
  PoolListenSettings,
  PoolPlacement,
  ReactorPoolOptions,
} from './pool/reactor-pool-options.js'
export { RemoteConnection } from './pool/remote-connection.js'
export type { WorkerExit } from './pool/worker-channel.js'
export { type ReactorPoolSetup, WorkerContext } from './pool/worker-context.js'
export { type Percentiles, WorkerPool, type WorkerPoolStats } from './pool/worker-pool.js'
export type {
  RunOptions,
  WorkerPoolOptions,
  WorkerPoolTask,
  WorkerPoolTaskContext,
} from './pool/worker-pool-options.js'
export { Reactor, type ReactorStats, type Saturated, type ShutdownResult } from './reactor.js'
export type { IoThreadsOptions, ReactorOptions } from './reactor-options.js'
export type { RebalanceOptions } from './rebalance.js'
export { type RelayOptions, type RelayResult, relay } from './relay.js'
export type { FileSource, SendFileOptions } from './send-file.js'
export type { AppliedSocketOptions, KeepAliveOptions, SocketOptions } from './socket-options.js'
export type { TcpInfo, TcpState } from './tcp-info.js'
export type { Timeouts } from './timeouts.js'
export { Watch, type WatchEvents, type WatchHandler, type WatchInterest } from './watch.js'
export { writeFrame } from './write-frame.js'
