/** The task of the scenario `worker-pool`, which does as little as possible. */
export default function add(task: { readonly value: number }): number {
  return task.value + 1
}
