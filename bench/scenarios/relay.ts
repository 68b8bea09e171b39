import { join } from 'node:path'
import { findHaproxy, Haproxy } from '../harness/haproxy.js'
import { LineProcess, number } from '../harness/line-process.js'
import { bulkProgram, compiledPeers } from '../harness/paths.js'
import { type Placement, pinned } from '../harness/placement.js'
import { cpuUse, sampleCpu } from '../harness/process-stats.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { medianOf } from '../harness/statistics.js'
import { decimal, integer } from '../harness/table.js'
import { atMost, measured, type Target } from '../harness/targets.js'

/** Measures a bulk relay from a native source to a native sink: throughput, and CPU time of the relay alone. */

type RelayName = 'c1m' | 'node-net' | 'haproxy' | 'haproxy-splice'

interface Running {
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

interface RelayPeer {
  readonly name: RelayName
  readonly title: string
  start(upstream: number, cpu: number | undefined): Promise<Running>
}

interface RelayRun {
  readonly peer: RelayName
  readonly connections: number
  readonly bytesPerSecond: number
  readonly cpuSecondsPerGb: number
  readonly userShare: number
  readonly broken: number
}

function scriptPeer(name: RelayName, title: string, file: string): RelayPeer {
  return {
    name,
    title,
    async start(upstream, cpu) {
      const command: [string, ...string[]] = [process.execPath, join(compiledPeers, file), String(upstream)]
      const relaying = new LineProcess(title, pinned(cpu, command))
      const port = number(await relaying.next('listening', 15_000), 'port')
      return { pid: relaying.pid, port, stop: () => relaying.stop() }
    },
  }
}

function relayPeers(): RelayPeer[] {
  const peers = [
    scriptPeer('c1m', 'c1m', 'relay-c1m.js'),
    scriptPeer('node-net', 'node:net, a.pipe(b).pipe(a)', 'relay-node-net.js'),
  ]
  const version = findHaproxy()
  if (version === undefined) return peers
  const haproxy = (name: RelayName, title: string, splice: boolean): RelayPeer => ({
    name,
    title,
    start: (upstream, cpu) => Haproxy.start(upstream, splice, cpu),
  })
  return [
    ...peers,
    haproxy('haproxy', `HAProxy ${version}`, false),
    haproxy('haproxy-splice', `HAProxy ${version}, splice-auto`, true),
  ]
}

export const relay: Scenario = {
  name: 'relay',
  async run({ quick, pinned: placement, progress }: Context): Promise<Outcome> {
    const peers = relayPeers().filter(({ name }) => !quick || name === 'c1m' || name === 'haproxy-splice')
    const shapes = quick ? [4] : [1, 4, 64]
    const rounds = quick ? 1 : 3
    progress.begin(peers.length * shapes.length * rounds)
    const runs: RelayRun[] = []
    // The peers alternate, so that changes on the machine affect all of them.
    for (const connections of shapes) {
      for (let round = 0; round < rounds; round++) {
        for (const peer of peers) {
          progress.step(`relay, ${connections} connections: ${peer.title}`)
          runs.push(await measure(peer, connections, placement, quick ? 300 : 3000))
        }
      }
    }
    const absent = peers.some(({ name }) => name === 'haproxy-splice') ? [] : ['HAProxy is not installed: left out.']
    return {
      runs,
      tables: shapes.map((connections) => ({
        title: `Bulk through ${connections} relays, one way, median of ${rounds}`,
        columns: ['relay', 'MB/s', 'CPU s/GB', 'of it user'],
        rows: peers.map(({ name, title }) => row(title, of(runs, name, connections))),
      })),
      targets: measured(targets(runs, shapes.includes(4) ? 4 : 1)),
      notes: [
        'A source that sends for ever and a sink that discards in the kernel (MSG_TRUNC) share one CPU, the relay has ' +
          'another: throughput is often theirs to limit, CPU is the relay’s alone. HAProxy runs with one thread.',
        ...absent,
      ],
      failures: runs.filter(({ broken }) => broken > 0).map(({ peer, broken }) => `${peer}: ${broken} relays broken`),
    }
  },
}

async function measure(
  peer: RelayPeer,
  connections: number,
  { server, load }: Placement,
  durationMs: number,
): Promise<RelayRun> {
  const words = ['--connections', connections, '--warmup-ms', 500, '--duration-ms', durationMs, '--cpu', load ?? -1]
  const bulk = new LineProcess('bulk', [bulkProgram, ...words.map(String)])
  const upstream = number(await bulk.next('source'), 'port')
  const relaying = await peer.start(upstream, server)
  bulk.tell(String(relaying.port))
  await bulk.next('measuring')
  const before = sampleCpu(relaying.pid)
  const result = await bulk.next('measured')
  const use = cpuUse(relaying.pid, before, sampleCpu(relaying.pid))
  await bulk.stop()
  await relaying.stop()
  const bytes = number(result, 'bytes')
  const cpuNs = use.userNs + use.systemNs
  return {
    peer: peer.name,
    connections,
    bytesPerSecond: bytes / (number(result, 'ns') / 1e9),
    cpuSecondsPerGb: cpuNs / bytes,
    userShare: use.userNs / cpuNs,
    broken: number(result, 'broken'),
  }
}

function of(runs: readonly RelayRun[], name: RelayName, connections: number): RelayRun[] {
  return runs.filter((run) => run.peer === name && run.connections === connections)
}

function row(title: string, runs: readonly RelayRun[]): string[] {
  return [
    title,
    integer(medianOf(runs, ({ bytesPerSecond }) => bytesPerSecond / 1e6)),
    decimal(
      medianOf(runs, ({ cpuSecondsPerGb }) => cpuSecondsPerGb),
      3,
    ),
    `${integer(medianOf(runs, ({ userShare }) => userShare * 100))} %`,
  ]
}

function targets(runs: readonly RelayRun[], connections: number): Target[] {
  const cpu = (name: RelayName) => medianOf(of(runs, name, connections), (run) => run.cpuSecondsPerGb)
  // The better of the two, with Infinity for one that wasn't measured.
  const haproxy = Math.min(...(['haproxy', 'haproxy-splice'] as const).map((name) => cpu(name) || Infinity))
  return [
    atMost('CPU a GB of a relay, of node:net’s', 0.4, cpu('c1m') / cpu('node-net')),
    atMost(
      'CPU a GB of a relay, of HAProxy’s better mode',
      1,
      haproxy === Infinity ? Number.NaN : cpu('c1m') / haproxy,
    ),
  ]
}
