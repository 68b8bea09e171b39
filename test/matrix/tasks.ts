// The tasks of the matrix's worker pool.
import type { RemoteConnection } from 'c1m'
import { recordOf } from './wire.js'

export interface Task {
  readonly kind: 'write' | 'same'
  readonly number: number
}

/** Returns the records that a worker writes for a task. */
export function recordsOf({ number }: Task): Buffer[] {
  return [0, 1, 2].map((i) => recordOf('remote', number * 3 + i, [40, 200_000, 900][i] as number))
}

export default function run(task: Task, { connection }: { connection: RemoteConnection | undefined }): number {
  if (task.kind === 'write') for (const record of recordsOf(task)) connection?.write(record)
  return task.number
}
