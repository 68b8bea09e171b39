import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Which CPU a process is pinned to; `undefined` is wherever the scheduler puts it. */
export interface Placement {
  readonly server: number | undefined
  readonly load: number | undefined
}

/** Numbers out of the kernel's list format: `0-2,5` is 0, 1, 2, 5. */
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

/** The hardware threads that share a core with this CPU, itself among them. */
function threadsOfCore(cpu: number): number[] {
  try {
    return parseCpuList(readFileSync(`/sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`, 'utf8'))
  } catch {
    return [cpu]
  }
}

/** The server on one core and the load on another; both unpinned if there is but one, or no `taskset`. */
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
 * The server on any CPU. The load keeps a core for itself if the server has two without it; on a machine with two
 * cores they share.
 */
export function freePlacement(): Placement {
  const { load } = pinnedPlacement()
  return { server: undefined, load: allowedCpus().length > 2 ? load : undefined }
}

/** Prefixes a command so that it runs on that CPU. `taskset` execs it: the process id is the command's own. */
export function pinned(cpu: number | undefined, command: [string, ...string[]]): [string, ...string[]] {
  return cpu === undefined ? command : ['taskset', '--cpu-list', String(cpu), ...command]
}

export function describePlacement({ server, load }: Placement): string {
  const where = (cpu: number | undefined) => (cpu === undefined ? 'not pinned' : `on CPU ${cpu}`)
  return `server ${where(server)}, load ${where(load)}`
}
