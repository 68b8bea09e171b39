import { readdirSync, readFileSync } from 'node:fs'

/** The CPU time of a process since its start. */
export interface CpuSample {
  /** User and kernel time in clock ticks of 10 ms: the kernel samples which of the two a thread is in. */
  readonly userTicks: number
  readonly systemTicks: number
  /** Time on a CPU by thread id, exact to the nanosecond. */
  readonly threads: ReadonlyMap<number, { readonly name: string; readonly runNs: number }>
}

/** The CPU time of a process between two samples. */
export interface CpuUse {
  readonly userNs: number
  readonly systemNs: number
  /** The main thread, which in Node runs the JavaScript. */
  readonly mainThreadNs: number
  /** The threads whose names begin with `c1m-io`. */
  readonly ioThreadsNs: number
}

const nsPerTick = 10_000_000

/** Returns the fields of a `stat` file from the third on (state), and the name, which may have spaces and brackets. */
function readStat(path: string): { name: string; fields: string[] } {
  const text = readFileSync(path, 'latin1')
  const end = text.lastIndexOf(')')
  return { name: text.slice(text.indexOf('(') + 1, end), fields: text.slice(end + 2).split(' ') }
}

const utimeField = 11
const stimeField = 12

function readThread(pid: number, tid: number): { name: string; runNs: number } {
  const { name, fields } = readStat(`/proc/${pid}/task/${tid}/stat`)
  try {
    return { name, runNs: Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'latin1').split(' ')[0]) }
  } catch {
    // A kernel without CONFIG_SCHED_INFO has only ticks.
    return { name, runNs: (Number(fields[utimeField]) + Number(fields[stimeField])) * nsPerTick }
  }
}

export function sampleCpu(pid: number): CpuSample {
  const { fields } = readStat(`/proc/${pid}/stat`)
  const threads = new Map<number, { name: string; runNs: number }>()
  for (const tid of readdirSync(`/proc/${pid}/task`).map(Number)) {
    try {
      threads.set(tid, readThread(pid, tid))
    } catch {
      // The thread has ended since the directory was read.
    }
  }
  return { userTicks: Number(fields[utimeField]), systemTicks: Number(fields[stimeField]), threads }
}

/**
 * Returns the use between two samples. The total is the threads' exact time on a CPU. Only its division into user and
 * kernel comes from the ticks, 250 or 1,000 samples a second: over 3 s, a share of 10 % is exact to about a tenth.
 */
export function cpuUse(pid: number, before: CpuSample, after: CpuSample): CpuUse {
  let totalNs = 0
  let mainThreadNs = 0
  let ioThreadsNs = 0
  for (const [tid, { name, runNs }] of after.threads) {
    const ns = runNs - (before.threads.get(tid)?.runNs ?? 0)
    totalNs += ns
    if (tid === pid) mainThreadNs += ns
    if (name.startsWith('c1m-io')) ioThreadsNs += ns
  }
  const userTicks = after.userTicks - before.userTicks
  const ticks = userTicks + after.systemTicks - before.systemTicks
  const userNs = ticks === 0 ? 0 : (totalNs * userTicks) / ticks
  return { userNs, systemNs: totalNs - userNs, mainThreadNs, ioThreadsNs }
}

/** Returns the RSS in bytes. smaps_rollup counts pages; statm may lack amounts that CPUs haven't added up yet. */
export function residentBytes(pid: number): number {
  const kilobytes = /^Rss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1]
  if (kilobytes === undefined) throw new Error(`no Rss in /proc/${pid}/smaps_rollup`)
  return Number(kilobytes) * 1024
}

export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
