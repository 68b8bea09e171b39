import { setTimeout as sleep } from 'node:timers/promises'
import type { Mode } from '../peers/control.js'
import { LineProcess, type Message, number } from './line-process.js'
import type { Peer } from './peers.js'
import { pinned } from './placement.js'

/** A running peer. */
export class Server {
  private constructor(
    private readonly process: LineProcess,
    readonly port: number,
  ) {}

  static async start(peer: Peer, mode: Mode, cpu: number | undefined): Promise<Server> {
    const process = new LineProcess(peer.title, pinned(cpu, peer.command(mode)))
    const listening = await process.next('listening', 15_000)
    return new Server(process, number(listening, 'port'))
  }

  get pid(): number {
    return this.process.pid
  }

  async collectGarbage(): Promise<void> {
    await this.process.ask('gc', 'gc')
  }

  /** Returns the number of connections that the server reports. */
  async connections(): Promise<number> {
    return number(await this.process.ask('stats', 'stats'), 'connections')
  }

  /** Waits until the server has `count` connections. Rejects after ten seconds. */
  async reaches(count: number): Promise<void> {
    const deadline = performance.now() + 10_000
    let connections = await this.connections()
    while (connections !== count) {
      if (performance.now() > deadline) {
        throw new Error(`${this.process.name} has ${connections} connections and should have ${count}`)
      }
      await sleep(10)
      connections = await this.connections()
    }
  }

  /** Arms the counter; `expected()` then resolves when that many connections have opened. */
  async expect(count: number): Promise<void> {
    await this.process.ask(`expect ${count}`, 'expecting')
  }

  expected(): Promise<Message> {
    return this.process.next('expected')
  }

  /** Blocks the server's JS thread. Resolves when it replies again. */
  async block(ms: number): Promise<void> {
    await this.process.ask(`block ${ms}`, 'unblocked')
  }

  stop(): Promise<void> {
    return this.process.stop()
  }
}
