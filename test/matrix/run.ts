import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import type { Connection, Listener } from 'c1m'
import { ACTS } from './acts.js'
import { Far, type PeerKind } from './far.js'
import { closeCodes, type Feature, nameOf, type Scenario } from './features.js'
import { Near } from './near.js'
import { STREAMS } from './wire.js'
import type { Desk, Kind, World } from './world.js'

/** A timeout longer than any step takes on a busy machine. */
const STUCK_MS = 20_000
/** The max time for a scenario's timeout to fire, if it does. */
const TIMED_MS = 250
const HELLO_FRAMES = 2
const TIMEOUTS: readonly Feature[] = ['idle', 'read', 'writeTimeout', 'total']

/** One scenario: a connection, its peer, and two features that meet there. */
export class Run {
  readonly name: string
  readonly faults: string[] = []
  readonly near: Near
  /** The second connection of a relay. */
  readonly partner: Near | undefined
  listener: Listener<Near> | undefined
  /** The promises that have not settled. */
  readonly pending = new Set<string>()
  /** Checks for the end of the run. */
  readonly later: (() => void)[] = []
  /** True if a timeout must fire. */
  mustTimeOut = false
  /** True if its connection is left to the shutdown of the reactor. */
  left = false

  constructor(
    readonly scenario: Scenario,
    readonly world: World,
    readonly desk: Desk,
  ) {
    this.name = nameOf(scenario)
    const { gap, peer } = scenario
    const halfOpen = this.has('halfClose') || this.has('relay') || gap === 'turn'
    this.near = new Near(halfOpen, STREAMS.a, (what) => this.fail(what))
    if (this.has('framing')) this.near.cut = 'length'
    if (this.has('relay')) this.partner = new Near(true, STREAMS.b, (what) => this.fail(`partner: ${what}`))
    for (const near of this.nears) {
      for (const code of closeCodes(this.features, peer, gap)) near.allowed.add(code)
    }
  }

  get features(): Feature[] {
    return [this.scenario.first, this.scenario.second]
  }

  get nears(): Near[] {
    return this.partner === undefined ? [this.near] : [this.near, this.partner]
  }

  get kind(): Kind {
    return {
      halfOpen: this.near.halfOpen,
      framed: this.has('framing'),
      borrowed: this.scenario.second.length % 2 === 1,
    }
  }

  get state(): string {
    return `${this.name}: ${this.nears.map(({ state }) => state).join(' ')} ${[...this.pending].join()}`
  }

  has(feature: Feature): boolean {
    return this.features.includes(feature)
  }

  fail(what: string): void {
    if (this.faults.length < 5 && !this.faults.includes(what)) this.faults.push(what)
  }

  /** Expects the promise to resolve with a value for which `holds` is true, or to reject with a code that `may` be. */
  promise<T>(what: string, promise: Promise<T>, holds: (value: T) => boolean, may: (code: string) => boolean): void {
    const key = `${what} ${this.pending.size}`
    this.pending.add(key)
    promise
      .then(
        (value) => {
          if (!holds(value)) this.fail(`${what} resolved with ${JSON.stringify(value)}`)
        },
        (error: Error & { code?: string }) => {
          if (!may(error.code ?? error.message)) this.fail(`${what} rejected with ${error.code ?? error.message}`)
        },
      )
      .finally(() => this.pending.delete(key))
  }

  async until(holds: () => boolean, what: string, ms = STUCK_MS): Promise<boolean> {
    for (const deadline = Date.now() + ms; !holds(); await sleep(3)) {
      if (Date.now() < deadline) continue
      this.fail(`${what}: ${this.state}`)
      return false
    }
    return true
  }

  /** Runs the scenario, except for its part in the reactor's shutdown. */
  async go(): Promise<void> {
    const { near } = this
    await this.meet()
    for (let i = 0; i < 5; i++) await turn()
    if (this.features.some((feature) => TIMEOUTS.includes(feature))) {
      const replaced = () => near.socket !== undefined || near.opens > 1 || near.over
      if (this.mustTimeOut) await this.until(replaced, 'a timeout that fires')
      else for (const end = Date.now() + TIMED_MS; !near.over && Date.now() < end; ) await sleep(5)
    }
    await sleep(10)
    await this.until(() => !near.leaving, 'detach()')
    if (this.scenario.peer !== 'stuck') await this.until(() => !near.adopting, 'adopt()')
    for (const one of this.nears) this.#finish(one)
    if (this.scenario.peer === 'stuck') await this.#giveUp()
    if (!this.left) await this.conclude()
  }

  /** Waits for the end of everything, and verifies it. */
  async conclude(): Promise<void> {
    const { pending, nears } = this
    await this.until(() => nears.every(({ over }) => over), 'its close')
    for (const { far } of nears) far.socket.resume()
    await this.until(() => pending.size === 0, 'its promises')
    await this.until(() => nears.every(({ far }) => far.closed), 'the close of its peer')
    for (const near of nears) {
      near.far.socket.destroy()
      near.socket?.destroy()
      if (!near.over && near.opens > 0) near.conn.destroy()
    }
    if (this.faults.length > 0) return
    for (const verify of this.later) verify()
    for (const near of nears) this.#verify(near)
  }

  /** Connects a peer to a listener. */
  async accept(near: Near, kind: Kind, peer: PeerKind): Promise<void> {
    const listener = await this.world.listener(kind, this.has('listener'))
    if (near === this.near) this.listener = listener
    const port = listener.port as number
    const socket = await this.#dial(near, port, peer)
    const conn = await this.world.accepted(socket, port)
    near.conn = conn
    conn.data = near
    near.opens++
  }

  async #dial(near: Near, port: number, peer: PeerKind): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    near.far = new Far(socket, peer, near.stream, near.outbox)
    await once(socket, 'connect')
    return socket
  }

  /** Runs the two features on a connection that has just been established. */
  async meet(): Promise<void> {
    const { near, partner } = this
    if (partner !== undefined) {
      await this.accept(partner, { halfOpen: true, framed: false, borrowed: false }, 'reads')
      partner.far.send(HELLO_FRAMES)
      await this.until(() => partner.position === partner.far.sent, 'the hello of the partner')
    }
    const { first, second, gap, peer } = this.scenario
    near.helloEnd = near.stream.ends[HELLO_FRAMES] as number
    const both = async (acts: readonly (() => void)[]): Promise<void> => {
      if (gap === 'tick') {
        near.far.meanwhile()
        for (const act of acts) act()
        return
      }
      if (acts.length === 1) await turn()
      for (const [i, act] of acts.entries()) {
        if (i === acts.length - 1) near.far.meanwhile()
        act()
        await turn()
      }
    }
    const act = (feature: Feature, number: number) => () => ACTS[feature](this, number)
    const acts = [act(first, 0), act(second, 1)]
    if (first === 'adopt') {
      const socket = await this.#dial(near, this.desk.port, peer)
      const source = await this.desk.socketOf(socket.localPort as number)
      near.far.send(HELLO_FRAMES)
      await this.#opened((open) => this.#adopt(source, open), both, acts.slice(1))
    } else if (first === 'connect') {
      await this.#connect(both, acts.slice(1))
    } else {
      await this.accept(near, this.kind, peer)
      near.far.send(HELLO_FRAMES)
      if (gap === 'tick') {
        await this.#inHello(() => both(acts))
      } else {
        await this.until(() => near.position >= near.helloEnd, 'the hello')
        await both(acts)
      }
    }
  }

  /** Calls `act` in the handler that gets the end of the peer's first bytes. */
  async #inHello(act: () => Promise<void>): Promise<void> {
    let acting: Promise<void> | undefined
    this.near.onHello = () => {
      acting = act()
    }
    await this.until(() => acting !== undefined, 'the hello')
    await acting
  }

  /** Runs the acts in `open` for the same tick, or after the promise has resolved. */
  async #opened(
    begin: (open: (conn: Connection<Near>) => void) => Promise<unknown>,
    both: (acts: readonly (() => void)[]) => Promise<void>,
    acts: readonly (() => void)[],
  ): Promise<void> {
    const { near } = this
    let acting: Promise<void> | undefined
    await begin((conn) => {
      near.conn = conn
      near.opens++
      if (this.scenario.gap === 'tick') acting = both(acts)
      near.handled()
    })
    await (acting ?? both(acts))
  }

  #adopt(source: Socket, open: (conn: Connection<Near>) => void): Promise<unknown> {
    const options = { ...this.world.options(this.kind), data: this.near }
    return this.world.reactor.adopt<Near>(source, { ...this.world.handlers, open }, options)
  }

  async #connect(both: (acts: readonly (() => void)[]) => Promise<void>, acts: readonly (() => void)[]): Promise<void> {
    const { near, scenario, desk, world } = this
    let opened: (() => void) | undefined
    const options = { host: '127.0.0.1', port: desk.port, ...world.options(this.kind) }
    const open = (conn: Connection<Near>) => {
      conn.data = near
      near.conn = conn
      near.opens++
      opened?.()
    }
    const connecting = world.reactor.connect<Near>(options, { ...world.handlers, open })
    const conn = await connecting
    const socket = await desk.socketOf(conn.localPort as number)
    near.far = new Far(socket, scenario.peer, near.stream, near.outbox)
    if (scenario.peer !== 'stuck') socket.resume()
    if (scenario.gap === 'tick') {
      near.far.send(HELLO_FRAMES)
      await this.#inHello(() => both(acts))
    } else {
      near.far.send(HELLO_FRAMES)
      await both(acts)
    }
  }

  #finish(near: Near): void {
    if (near.paused) near.resume()
    near.far.send(1)
    if (near.relayed !== undefined) {
      near.far.end()
    } else if (near.open || near.socket !== undefined) {
      if (near.leaving || near.ended) return
      near.send('tail', near === this.near ? 0 : 1, 100)
      near.end()
    }
  }

  /** Ends a connection whose peer reads nothing. */
  async #giveUp(): Promise<void> {
    await sleep(10)
    const { near, scenario } = this
    // The socket has been taken over, and is going to be a connection.
    if (near.adopting && near.socket?.destroyed === true) await this.until(() => !near.adopting, 'adopt()')
    if (scenario.gap === 'tick' || near.socket !== undefined) near.destroy(new Error('ended by the run'))
    else this.left = near.open && !this.has('shutdown')
  }

  #verify(near: Near): void {
    const { outbox, closedWith, gone, reason, fail } = near
    if (outbox.fault !== undefined) fail(outbox.fault)
    if (near.opens !== near.closes || near.opens === 0) fail(`${near.opens} opens, ${near.closes} closes`)
    for (const error of closedWith) {
      const code = error.code ?? error.message
      if (error !== reason && !near.allowed.has(code)) fail(`closed with ${code}`)
    }
    if (gone && reason !== undefined && closedWith.at(-1) !== reason && near.socket === undefined)
      fail(`destroyed with a reason, closed with ${closedWith.at(-1)}`)
    if (this.regular(near)) this.#verifyWhole(near)
  }

  #verifyWhole(near: Near): void {
    const { outbox, far, fail, relayed } = near
    if (outbox.missing.length > 0) fail(`missing at the peer: ${outbox.missing}`)
    if (!outbox.whole) fail('a part of a record at the peer')
    if (!far.endSeen) fail(`no FIN at the peer, ${far.error?.code}`)
    if (relayed === undefined && (near.position !== far.sent || !near.endSeen)) {
      fail(`${near.position} of ${far.sent} bytes, ${near.endSeen ? 'end' : 'no end'}`)
    }
    if (relayed === undefined || !this.regular(relayed)) return
    const passed = relayed.outbox.relayedBytes
    if (passed !== far.sent - near.position) fail(`${passed} of ${far.sent - near.position} bytes relayed`)
  }

  /** True if the connection has ended without force: no byte may be missing. */
  regular({ gone, closedWith, far }: Near): boolean {
    return !gone && closedWith.length === 0 && !far.gone
  }
}
