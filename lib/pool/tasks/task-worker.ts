/** @internal The program of each worker of a `WorkerPool`: it loads the user's module, and runs its tasks. */
import { workerData } from 'node:worker_threads'
import { toWire } from '../wire-error.js'
import { type ConnectionHandle, makeRemoteConnection } from './remote-connection.js'
import type { WorkerPoolTask } from './worker-pool-options.js'

interface Job {
  readonly task: unknown
  readonly connection: ConnectionHandle | undefined
}

let loading: Promise<WorkerPoolTask> | undefined

async function load(filename: string): Promise<WorkerPoolTask> {
  let found: unknown = await import(filename)
  // A CommonJS module that was compiled from an ES module has its default inside of its default.
  for (let depth = 0; depth < 2 && typeof found !== 'function'; depth++) {
    found = (found as { default?: unknown } | undefined)?.default
  }
  if (typeof found !== 'function') throw new TypeError(`${filename} has no function as its default export`)
  return found as WorkerPoolTask
}

export default async function run({ task, connection }: Job): Promise<unknown> {
  try {
    loading ??= load((workerData as { filename: string }).filename)
    const call = await loading
    return await call(task, { connection: connection && makeRemoteConnection(connection) })
  } catch (error) {
    // The error is plain data, unlike an error of piscina's; a clone would lose its code.
    throw toWire(error)
  }
}
