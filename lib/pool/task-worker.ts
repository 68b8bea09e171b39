/** @internal What runs in each worker of a `WorkerPool`: it loads the user's module, and gives it its tasks. */
import { workerData } from 'piscina'
import { type ConnectionHandle, RemoteConnection } from './remote-connection.js'

interface Job {
  readonly task: unknown
  readonly connection: ConnectionHandle | undefined
}
type TaskFunction = (task: unknown, context: { readonly connection: RemoteConnection | undefined }) => unknown

let loading: Promise<TaskFunction> | undefined

async function load(filename: string): Promise<TaskFunction> {
  let found: unknown = await import(filename)
  // A CommonJS module that was compiled from an ES module has its default inside of its default.
  for (let depth = 0; depth < 2 && typeof found !== 'function'; depth++) {
    found = (found as { default?: unknown } | undefined)?.default
  }
  if (typeof found !== 'function') throw new TypeError(`${filename} has no function as its default export`)
  return found as TaskFunction
}

export default async function run({ task, connection }: Job): Promise<unknown> {
  loading ??= load((workerData as { filename: string }).filename)
  const call = await loading
  return call(task, { connection: connection && new RemoteConnection(connection) })
}
