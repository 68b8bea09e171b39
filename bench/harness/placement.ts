import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** The CPUs to which the processes are pinned; `undefined` leaves that to the scheduler. */
export interface Placement {
  readonly server: number | undefined
  readonly load: number | undefined
}

/** Parses the kernel's list format: `0-2,5` is 0, 1, 2, 5. */
function parseCpuList(text: string): number[] {
  return text
    .trim()
    .split(',')
    .flatMap((range) => {
      const [first = Number.NaN, last = first] = range.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, i) => first + i)
    })
}

function allowedCpus(): number[] {
  const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  return list === undefined ? [] : parseCpuList(list)
}

/** Returns the hardware threads that share a core with this CPU, including itself. */
function threadsOfCore(cpu: number): number[] {
  try {
    return parseCpuList(readFileSync(`/sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`, 'utf8'))
  } catch {
    return [cpu]
  }
}

/** Returns one core for the server and another for the load, or none if there is only one, or no `taskset`. */
export function pinnedPlacement(): Placement {
  const cpus = allowedCpus()
  const [server] = cpus
  if (server === undefined || spawnSync('taskset', ['--version']).status !== 0) {
    return { server: undefined, load: undefined }
  }
  const siblings = threadsOfCore(server)
  const load = cpus.find((cpu) => !siblings.includes(cpu))
  return load === undefined ? { server: undefined, load: undefined } : { server, load }
}

/**
 * Returns any CPU for the server. The load has a core of its own if the server has two others; on a machine with two
 * cores they share.
 */
export function freePlacement(): Placement {
  const { load } = pinnedPlacement()
  return { server: undefined, load: allowedCpus().length > 2 ? load : undefined }
}

/** Prefixes a command so that it runs on that CPU. `taskset` execs it, so the process id is the command's own. */
export function pinned(cpu: number | undefined, command: [string, ...string[]]): [string, ...string[]] {
  return cpu === undefined ? command : ['taskset', '--cpu-list', String(cpu), ...command]
}

export function describePlacement({ server, load }: Placement): string {
  const where = (cpu: number | undefined) => (cpu === undefined ? 'not pinned' : `on CPU ${cpu}`)
  return `server ${where(server)}, load ${where(load)}`
}
