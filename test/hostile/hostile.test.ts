import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { t as tap, test } from 'tap'
import { type Child, startProgram } from '../fixtures/child.js'
import { untilChildSays } from '../fixtures/facts.js'
import { attacks } from './attacks.js'

// Each server is a process of its own, with peers in two others.
tap.jobs = 2

/** How long each attack lasts; longer by hand: C1M_HOSTILE_SECONDS=60. */
const SECONDS = Number(process.env.C1M_HOSTILE_SECONDS ?? 3)
/** The P99 of the honest peers beside it, in ms: nobody is starved, though two servers and their peers share two cores. */
const MAX_P99_MS = 5000

const HONEST = 50

interface Facts {
  readonly rss: number
  readonly descriptors: number
  readonly connections: number
  readonly opened: number
  readonly closed: number
}

interface Report {
  readonly count: number
  readonly failed: number
  readonly p50: number
  readonly p99: number
}

async function ask<A>(child: Child, line: string): Promise<A> {
  child.tell(line)
  return child.next<A>(`a reply to ${line}`)
}

const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1)

for (const [name, attack] of Object.entries(attacks)) {
  test(`memory is bounded and honest peers are served under attack: ${name}`, async (t) => {
    const server = startProgram(t, join(__dirname, 'server.js'), { args: [attack.service] })
    const { port, honest } = await server.next<{ port: number; honest: number }>()
    const peers = startProgram(t, join(__dirname, 'honest.js'), { args: [String(honest)] })
    await peers.next()
    await untilChildSays<Facts>(server, ({ connections }) => connections === HONEST, 'all honest peers', 60_000)
    // Some echoes for each.
    await sleep(100)
    const earlier = await ask<Report>(peers, 'report')
    const before = await ask<Facts>(server, 'facts')
    const hostile = startProgram(t, join(__dirname, 'attack.js'), { args: [name, String(port)] })
    await hostile.next()
    await sleep(SECONDS * 1000)
    // The cost is measured during the attack.
    const during = await ask<Facts>(server, 'facts')
    const report = await ask<Report>(peers, 'report')
    const connections = await ask<number>(hostile, 'stop')
    const grown = Math.max(0, during.rss - before.rss)
    t.comment(
      `${connections} connections; ${mib(grown)} MiB; honest P99 ${report.p99.toFixed(1)} ms ` +
        `(before it ${earlier.p99.toFixed(1)}), ${report.count} echoes`,
    )
    const max = attack.bytesInAll + connections * attack.bytesEach
    t.ok(grown <= max, `memory: ${mib(grown)} of ${mib(max)} MiB`)
    t.equal(report.failed, 0, 'no honest peer was disconnected')
    t.ok(report.count > 0 && report.p99 < MAX_P99_MS, `honest P99: ${report.p99.toFixed(1)} ms`)
    hostile.tell('close')
    await hostile.untilExit()
    // All hostile connections must close: only the 50 honest ones are left.
    let after = await ask<Facts>(server, 'facts')
    for (let i = 0; i < 1000 && (after.connections > HONEST || after.descriptors > before.descriptors); i++) {
      await sleep(20)
      after = await ask<Facts>(server, 'facts')
    }
    t.equal(after.connections, HONEST)
    t.equal(after.closed, after.opened - HONEST, 'one close for each open')
    t.ok(after.descriptors <= before.descriptors, `descriptors: ${after.descriptors}`)
    await ask(server, 'shutdown')
    t.strictSame(await server.untilExit(), { code: 0, signal: null }, server.stderr)
  })
}
