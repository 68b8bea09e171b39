// Runs tasks in a process of its own, and prints a line of JSON:
//   node build/js/bench/peers/worker-pool.js c1m|piscina steady|flood TASKS
import { join } from 'node:path'
import { WorkerPool } from 'c1m'
import { Piscina } from 'piscina'

const filename = join(__dirname, 'task.js')
const WORKERS = 2
/** The number of tasks in progress in the steady run. */
const WINDOW = 1000

interface Pool {
  run(task: { value: number }): Promise<unknown>
  close(): Promise<unknown>
}

function makePool(kind: string): Pool {
  if (kind === 'c1m') return new WorkerPool({ filename, size: WORKERS })
  return new Piscina({ filename, minThreads: WORKERS, maxThreads: WORKERS, recordTiming: false })
}

async function steady(pool: Pool, tasks: number): Promise<number> {
  let next = 0
  let wrong = 0
  const one = async () => {
    while (next < tasks) {
      const value = next++
      if ((await pool.run({ value })) !== value + 1) wrong++
    }
  }
  await Promise.all(Array.from({ length: WINDOW }, one))
  return wrong
}

async function flood(pool: Pool, tasks: number): Promise<number> {
  let wrong = 0
  let done = 0
  await new Promise<void>((resolve) => {
    for (let value = 0; value < tasks; value++) {
      pool.run({ value }).then(
        (result) => {
          if (result !== value + 1) wrong++
          if (++done === tasks) resolve()
        },
        () => {
          wrong++
          if (++done === tasks) resolve()
        },
      )
    }
  })
  return wrong
}

async function main(): Promise<void> {
  const [kind = '', how = '', count = ''] = process.argv.slice(2)
  const tasks = Number(count)
  const pool = makePool(kind)
  await steady(pool, 2000)
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  let peak = before
  const sampling = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss)
  }, 10)
  const began = performance.now()
  const wrong = await (how === 'flood' ? flood : steady)(pool, tasks)
  const seconds = (performance.now() - began) / 1000
  peak = Math.max(peak, process.memoryUsage().rss)
  clearInterval(sampling)
  await pool.close()
  console.log(JSON.stringify({ tasks, wrong, tasksPerSecond: tasks / seconds, bytesPerTask: (peak - before) / tasks }))
}

void main()
