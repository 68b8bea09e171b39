import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LineProcess } from './line-process.js'
import { pinned } from './placement.js'

/** Returns the version of HAProxy, if it is on the PATH. */
export function findHaproxy(): string | undefined {
  const { status, stdout } = spawnSync('haproxy', ['-v'], { encoding: 'utf8' })
  return status === 0 ? /version (\S+)/i.exec(stdout)?.[1] : undefined
}

/** HAProxy in TCP mode with one thread, relaying to a port of this host. */
export class Haproxy {
  private constructor(
    private readonly process: LineProcess,
    private readonly folder: string,
    readonly port: number,
  ) {}

  static async start(upstream: number, splice: boolean, cpu: number | undefined): Promise<Haproxy> {
    const port = await freePort()
    const folder = mkdtempSync(join(tmpdir(), 'c1m-haproxy-'))
    const config = join(folder, 'haproxy.cfg')
    writeFileSync(
      config,
      `global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${splice ? '  option splice-auto\n' : ''}listen relay
  bind 127.0.0.1:${port}
  server upstream 127.0.0.1:${upstream}
`,
    )
    const process = new LineProcess('HAProxy', pinned(cpu, ['haproxy', '-db', '-f', config]))
    const haproxy = new Haproxy(process, folder, port)
    for (let tries = 0; !(await answers(port)); tries++) {
      if (tries > 100) throw new Error('HAProxy does not listen')
      await sleep(50)
    }
    return haproxy
  }

  get pid(): number {
    return this.process.pid
  }

  async stop(): Promise<void> {
    await this.process.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen({ host: '127.0.0.1', port: 0 }, () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
