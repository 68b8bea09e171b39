import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EchoBeside } from '../harness/echo-beside.js'
import { availableFilePeers, type FilePeer, type FilePeerName } from '../harness/file-servers.js'
import { makeFile } from '../harness/files.js'
import { number } from '../harness/line-process.js'
import { type DownloadShape, startDownloads } from '../harness/load.js'
import { cpuUse, sampleCpu } from '../harness/process-stats.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { medianOf } from '../harness/statistics.js'
import { decimal, integer, percent, type Table } from '../harness/table.js'
import { atLeast, atMost, measured, type Target } from '../harness/targets.js'

/** Measures files from the page cache over HTTP/1.1: a large one, and many at the same time. */

const MIB = 2 ** 20

interface Cell extends DownloadShape {
  readonly title: string
}

interface FileRun extends DownloadShape {
  readonly peer: FilePeerName
  readonly bytesPerSecond: number
  /** CPU time of the server process, in seconds per GB. */
  readonly cpuPerGb: number
  readonly userShare: number
  readonly serverShare: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** The latency of small replies on another connection meanwhile. */
  readonly echoP50Ms: number
  readonly echoP99Ms: number
  readonly errors: number
  readonly congestion: string
}

const big: Cell = { title: '256 MiB, 1 connection', connections: 1, bytes: 256 * MIB, downloads: 8 }
const many: Cell = { title: '1 MiB, 1,000 connections', connections: 1000, bytes: MIB, downloads: 8 }
const quickCells: readonly Cell[] = [
  { ...big, downloads: 1 },
  { ...many, connections: 100, downloads: 1 },
]

export const file: Scenario = {
  name: 'file',
  async run(context: Context): Promise<Outcome> {
    const cells = context.quick ? quickCells : [big, many]
    const rounds = context.quick ? 1 : 3
    const peers = availableFilePeers()
    const directory = mkdtempSync(join(tmpdir(), 'c1m-bench-'))
    context.progress.begin(cells.length * rounds * peers.length)
    const runs: FileRun[] = []
    try {
      for (const { bytes } of cells) makeFile(join(directory, String(bytes)), bytes)
      for (const cell of cells) {
        for (let round = 1; round <= rounds; round++) {
          for (const peer of peers) {
            context.progress.step(`file ${cell.title}, round ${round} of ${rounds}: ${peer.title}`)
            runs.push(await measureFile(peer, cell, directory, context))
          }
        }
      }
    } finally {
      rmSync(directory, { recursive: true })
    }
    return {
      runs,
      tables: cells.map((cell) => cellTable(cell, peers, runs)),
      targets: measured(targets(runs)),
      notes: notes(peers, runs),
      failures: runs
        .filter(({ errors }) => errors > 0)
        .map(({ peer, bytes }) => `${peer}, ${bytes} B: a download broke off`),
    }
  },
}

async function measureFile(peer: FilePeer, cell: Cell, directory: string, context: Context): Promise<FileRun> {
  const { server: serverCpu, load: loadCpu } = context.pinned
  const { connections, bytes, downloads } = cell
  const shape = { connections, bytes, downloads }
  const server = await peer.start(directory, serverCpu)
  const load = startDownloads(server.port, loadCpu, shape)
  const ready = await load.next('ready')
  const before = sampleCpu(server.pid)
  const beside = new EchoBeside(server.port)
  const result = await load.ask('go', 'result', 300_000)
  const echo = beside.stop()
  const use = cpuUse(server.pid, before, sampleCpu(server.pid))
  await load.stop()
  await server.stop()
  const elapsedNs = number(result, 'elapsedNs')
  const total = number(result, 'bytes')
  return {
    peer: peer.name,
    ...shape,
    bytesPerSecond: (total * 1e9) / elapsedNs,
    cpuPerGb: (use.userNs + use.systemNs) / total,
    userShare: use.userNs / (use.userNs + use.systemNs),
    serverShare: (use.userNs + use.systemNs) / elapsedNs,
    p50Ms: number(result, 'p50Ns') / 1e6,
    p99Ms: number(result, 'p99Ns') / 1e6,
    echoP50Ms: echo.p50Ms,
    echoP99Ms: echo.p99Ms,
    errors: number(result, 'errors'),
    congestion: String(ready.congestion),
  }
}

function runsOf(runs: readonly FileRun[], { connections, bytes }: Cell, peer: FilePeerName): FileRun[] {
  return runs.filter((run) => run.peer === peer && run.connections === connections && run.bytes === bytes)
}

function cellTable(cell: Cell, peers: readonly FilePeer[], runs: readonly FileRun[]): Table {
  const rows = peers.map(({ name, title }) => {
    const own = runsOf(runs, cell, name)
    const of = (value: (run: FileRun) => number) => medianOf(own, value)
    return [
      title,
      integer(of((run) => run.bytesPerSecond / 1e6)),
      decimal(
        of((run) => run.cpuPerGb),
        3,
      ),
      percent(of((run) => run.userShare)),
      percent(of((run) => run.serverShare)),
      decimal(of((run) => run.p50Ms)),
      decimal(of((run) => run.p99Ms)),
      decimal(of((run) => run.echoP50Ms)),
      decimal(of((run) => run.echoP99Ms)),
    ]
  })
  const columns = [
    'server',
    'MB/s',
    'CPU s a GB',
    'of it user',
    'server CPU',
    'P50 ms',
    'P99 ms',
    'echo P50 ms',
    'echo P99 ms',
  ]
  return { title: `${cell.title}, server on one core`, columns, rows }
}

function ratio(runs: readonly FileRun[], cell: Cell, to: FilePeerName, value: (run: FileRun) => number): number {
  return medianOf(runsOf(runs, cell, 'c1m'), value) / medianOf(runsOf(runs, cell, to), value)
}

function targets(runs: readonly FileRun[]): Target[] {
  return [
    atMost(
      "256 MiB: CPU a byte, of raw C's",
      1.1,
      ratio(runs, big, 'raw', (run) => run.cpuPerGb),
    ),
    atLeast(
      "256 MiB: throughput, of pipeline()'s on node:net",
      3,
      ratio(runs, big, 'node-net', (run) => run.bytesPerSecond),
    ),
  ]
}

function notes(peers: readonly FilePeer[], runs: readonly FileRun[]): string[] {
  const congestion = [...new Set(runs.map((run) => run.congestion))].join(', ')
  const lines = [
    'Medians of the rounds. The client throws the bytes away in the kernel, on the other core. ' +
      'Echo: an answer of 4 bytes from memory, asked for again and again on one more connection meanwhile. ' +
      `Congestion control of the connections: ${congestion}.`,
  ]
  if (!peers.some(({ name }) => name === 'nginx')) lines.push('nginx is not here: `apt-get install nginx-light`.')
  return lines
}
