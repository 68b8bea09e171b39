/** What a worker does in the scenario `worker-pool`: as little as can be. */
export default function add(task: { readonly value: number }): number {
  return task.value + 1
}
