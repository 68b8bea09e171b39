import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

/**
 * The benchmarks run in a network namespace of their own, where that is possible: the settings below then affect
 * nothing
 * else, and no port or TIME_WAIT is left on the host.
 */

const inside = 'C1M_BENCH_NAMESPACE'
const congestion = 'cubic'
const settings: Readonly<Record<string, string>> = {
  'net.core.somaxconn': '65535',
  'net.ipv4.ip_local_port_range': '1024 65535',
}

/** The network of this run, for the report. */
export interface NetworkReport {
  readonly namespace: string
  readonly congestion: string
  readonly settings: Record<string, string>
}

function works(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0
}

function settingPath(name: string): string {
  return `/proc/sys/${name.replaceAll('.', '/')}`
}

function readSetting(name: string): string {
  return readFileSync(settingPath(name), 'utf8').trim().replace(/\s+/g, ' ')
}

/** Runs this program again in a new namespace, and exits with its status. Returns where that isn't possible. */
export function enterNamespace(): void {
  if (process.env[inside] !== undefined || process.getuid?.() !== 0) return
  if (!works('unshare', '--net', 'ip', 'link', 'set', 'lo', 'up')) return
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const env = { ...process.env, [inside]: '1' }
  const { status } = spawnSync('unshare', ['--net', ...self], { stdio: 'inherit', env })
  process.exit(status ?? 1)
}

/**
 * Sets loopback's congestion control, on the routes: the namespace's sysctl accepts only algorithms that the host
 * allows
 * to all users, and a route any that is loaded. All peers need the same one, because bbr paces on loopback, too.
 */
function setCongestionOfLoopback(): boolean {
  return ['127.0.0.0/8', '127.0.0.1'].every((destination) => {
    const route = ['local', destination, 'dev', 'lo', 'proto', 'kernel', 'scope', 'host', 'src', '127.0.0.1']
    return works('ip', 'route', 'change', ...route, 'table', 'local', 'congctl', congestion)
  })
}

/** Sets up the network in a namespace of its own, and returns the report. */
export function prepareNetwork(): NetworkReport {
  const names = Object.keys(settings)
  const host = readSetting('net.ipv4.tcp_congestion_control')
  const report = (namespace: string, used: string): NetworkReport => ({
    namespace,
    congestion: used,
    settings: Object.fromEntries(names.map((name) => [name, readSetting(name)])),
  })
  if (process.env[inside] === undefined) return report("the host's", host)
  spawnSync('ip', ['link', 'set', 'lo', 'up'])
  for (const [name, value] of Object.entries(settings)) {
    try {
      writeFileSync(settingPath(name), value)
    } catch {
      // The setting is read-only in some containers; the report has the one in force.
    }
  }
  return report('its own', setCongestionOfLoopback() ? congestion : host)
}
