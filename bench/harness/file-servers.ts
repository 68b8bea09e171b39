import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LineProcess, number } from './line-process.js'
import { compiledPeers, rawFileProgram } from './paths.js'
import { pinned } from './placement.js'

export type FilePeerName = 'raw' | 'c1m' | 'node-net' | 'nginx'

/** A server of files that is measured. */
export interface FilePeer {
  readonly name: FilePeerName
  readonly title: string
  /** Serves the files of a directory under their names, and four bytes from memory as `/echo`. */
  start(directory: string, cpu: number | undefined): Promise<FileServer>
}

export interface FileServer {
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

function ours(name: FilePeerName, title: string, ...command: [string, ...string[]]): FilePeer {
  return {
    name,
    title,
    async start(directory, cpu) {
      const process = new LineProcess(title, pinned(cpu, [...command, directory]))
      const port = number(await process.next('listening', 15_000), 'port')
      return { pid: process.pid, port, stop: () => process.stop() }
    },
  }
}

/** A port that no other process has in the benchmarks' own namespace. */
const nginxPort = 18_080

const nginxConfiguration = (directory: string) => `
daemon off;
master_process off;
pid ${directory}/nginx.pid;
error_log stderr;
worker_rlimit_nofile 65536;
events { worker_connections 8192; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path ${directory}/temp;
  proxy_temp_path ${directory}/temp;
  fastcgi_temp_path ${directory}/temp;
  uwsgi_temp_path ${directory}/temp;
  scgi_temp_path ${directory}/temp;
  server { listen 127.0.0.1:${nginxPort} backlog=4096; root ${directory}; location = /echo { return 200 echo; } }
}
`

async function untilListening(port: number): Promise<void> {
  const deadline = performance.now() + 10_000
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const there = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (there) return
    if (performance.now() > deadline) throw new Error(`nothing listens on port ${port}`)
    await sleep(20)
  }
}

const nginx: FilePeer = {
  name: 'nginx',
  title: 'nginx, one process',
  async start(directory, cpu) {
    const file = join(directory, 'nginx.conf')
    writeFileSync(file, nginxConfiguration(directory))
    const process = new LineProcess('nginx', pinned(cpu, ['nginx', '-e', 'stderr', '-c', file]))
    await untilListening(nginxPort)
    return { pid: process.pid, port: nginxPort, stop: () => process.kill() }
  },
}

/** Returns the file servers that this machine has; nginx is a Debian package. */
export function availableFilePeers(): FilePeer[] {
  const node = (file: string): [string, string] => [process.execPath, join(compiledPeers, file)]
  const peers = [
    ours('raw', 'raw C, sendfile', rawFileProgram),
    ours('c1m', 'c1m', ...node('c1m-file.js')),
    ours('node-net', 'node:net, pipeline', ...node('node-net-file.js')),
  ]
  return spawnSync('nginx', ['-v']).status === 0 ? [...peers, nginx] : peers
}
