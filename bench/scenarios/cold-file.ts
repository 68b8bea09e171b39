import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { availableFilePeers, type FilePeer, type FilePeerName } from '../harness/file-servers.js'
import { makeFile } from '../harness/files.js'
import { number } from '../harness/line-process.js'
import { startDownloads } from '../harness/load.js'
import type { Context, Outcome, Scenario } from '../harness/scenario.js'
import { medianOf } from '../harness/statistics.js'
import { decimal, integer } from '../harness/table.js'

/**
 * Sends a large file from the disk, and small replies from the page cache at the same time. The latency of the replies
 * shows whether the thread that serves them waits for the disk.
 */

const MIB = 2 ** 20
const SMALL_BYTES = 4096

type Beside = 'nothing' | 'a cached file' | 'a cold file'
const beside: readonly Beside[] = ['nothing', 'a cached file', 'a cold file']

interface ColdRun {
  readonly peer: FilePeerName
  readonly beside: Beside
  readonly p50Micros: number
  readonly p99Micros: number
  /** The throughput of the large file; 0 without one. */
  readonly bytesPerSecond: number
  readonly errors: number
}

export const coldFile: Scenario = {
  name: 'cold-file',
  async run(context: Context): Promise<Outcome> {
    const large = (context.quick ? 32 : 512) * MIB
    const rounds = context.quick ? 1 : 3
    const peers = availableFilePeers()
    const directory = mkdtempSync(join(tmpdir(), 'c1m-bench-'))
    context.progress.begin(rounds * peers.length * beside.length)
    const runs: ColdRun[] = []
    try {
      makeFile(join(directory, String(SMALL_BYTES)), SMALL_BYTES)
      makeFile(join(directory, String(large)), large)
      for (let round = 1; round <= rounds; round++) {
        for (const peer of peers) {
          for (const what of beside) {
            context.progress.step(`small answers beside ${what}, round ${round} of ${rounds}: ${peer.title}`)
            runs.push(await measureCold(peer, what, large, directory, context))
          }
        }
      }
    } finally {
      rmSync(directory, { recursive: true })
    }
    const rows = peers.flatMap(({ name, title }) =>
      beside.map((what) => {
        const own = runs.filter((run) => run.peer === name && run.beside === what)
        const of = (value: (run: ColdRun) => number) => medianOf(own, value)
        const rate = of((run) => run.bytesPerSecond / 1e6)
        return [
          title,
          what,
          decimal(of((run) => run.p50Micros)),
          decimal(of((run) => run.p99Micros)),
          rate > 0 ? integer(rate) : '',
        ]
      }),
    )
    return {
      runs,
      tables: [
        {
          title: `answers of ${integer(SMALL_BYTES)} B on one connection, beside a download of ${large / MIB} MiB`,
          columns: ['server', 'beside', 'P50 µs', 'P99 µs', 'download MB/s'],
          rows,
        },
      ],
      targets: [],
      notes: ['Medians of the rounds. Cold: dropped from the page cache before the run (posix_fadvise).'],
      failures: runs.filter(({ errors }) => errors > 0).map(({ peer }) => `${peer}: a download broke off`),
    }
  },
}

async function measureCold(
  peer: FilePeer,
  what: Beside,
  large: number,
  directory: string,
  context: Context,
): Promise<ColdRun> {
  const path = join(directory, String(large))
  if (what === 'a cold file') dropFromCache(path)
  const { server: serverCpu, load: loadCpu } = context.pinned
  const server = await peer.start(directory, serverCpu)
  const bulk = startDownloads(server.port, loadCpu, { connections: 1, bytes: large, downloads: 1 })
  const small = startDownloads(server.port, loadCpu, {
    connections: 1,
    bytes: SMALL_BYTES,
    downloads: context.quick ? 500 : 5000,
  })
  await Promise.all([bulk.next('ready'), small.next('ready')])
  const [download, answers] = await Promise.all([
    what === 'nothing' ? undefined : bulk.ask('go', 'result', 300_000),
    small.ask('go', 'result', 300_000),
  ])
  await Promise.all([bulk.stop(), small.stop()])
  await server.stop()
  return {
    peer: peer.name,
    beside: what,
    p50Micros: number(answers, 'p50Ns') / 1000,
    p99Micros: number(answers, 'p99Ns') / 1000,
    bytesPerSecond: download === undefined ? 0 : (number(download, 'bytes') * 1e9) / number(download, 'elapsedNs'),
    errors: number(answers, 'errors') + (download === undefined ? 0 : number(download, 'errors')),
  }
}

/** Writes a file to the disk, because only clean pages can be dropped, and drops its pages. */
function dropFromCache(path: string): void {
  const { status } = spawnSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'])
  if (status !== 0) throw new Error(`dd can't drop ${path} from the page cache`)
}
