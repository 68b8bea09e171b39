import { setTimeout as sleep } from 'node:timers/promises'
import { type LineProcess, number } from '../harness/line-process.js'
import { HoldLoad, startEchoLoad } from '../harness/load.js'
import type { Peer, PeerName } from '../harness/peers.js'
import { residentBytes } from '../harness/process-stats.js'
import { type Context, type Outcome, peersOf, type Scenario } from '../harness/scenario.js'
import { Server } from '../harness/server.js'
import { integer, mebibytes } from '../harness/table.js'
import { atLeast, atMost, measured, type Target } from '../harness/targets.js'

/** Blocks the JS thread for two seconds under full load: what grows, what continues, and is a byte lost? */

const shape = { connections: 500, bytes: 16_384, depth: 16 } as const
const offeredBytes = shape.connections * shape.bytes * shape.depth
const newConnections = 2000

interface BlockedRun {
  readonly peer: PeerName
  readonly blockedMs: number
  /** The max RSS while blocked, minus the RSS just before. */
  readonly grownBytes: number
  /** The number of new connections that had left the kernel's accept queue when the block ended. */
  readonly accepted: number
  readonly messagesAfter: number
  readonly errors: number
  readonly lostBytes: number
  readonly silentConnections: number
}

export const blocked: Scenario = {
  name: 'blocked',
  async run(context: Context): Promise<Outcome> {
    const { free, progress } = context
    const peers = peersOf(context, ['c1m'])
    const blockMs = context.quick ? 500 : 2000
    progress.begin(peers.length)
    const runs: BlockedRun[] = []
    for (const peer of peers) {
      progress.step(`blocked for ${blockMs} ms: ${peer.title}`)
      const server = await Server.start(peer, 'echo', free.server)
      runs.push(await measureBlocked(peer, server, blockMs))
      await server.stop()
    }
    return {
      runs,
      tables: [
        {
          title: `The JS thread blocked for ${blockMs} ms, ${mebibytes(offeredBytes)} MiB under way`,
          columns: ['server', 'RSS grew by MiB', 'accepted meanwhile', 'messages after', 'bytes lost'],
          rows: runs.map((run) => [
            peers.find(({ name }) => name === run.peer)?.title ?? run.peer,
            mebibytes(run.grownBytes),
            `${integer(run.accepted)} of ${integer(newConnections)}`,
            integer(run.messagesAfter),
            integer(run.lostBytes),
          ]),
        },
      ],
      targets: measured(targets(runs)),
      notes: [
        `${shape.connections} connections, each with ${shape.depth} messages of ${integer(shape.bytes)} B under way. ` +
          'A server without threads of its own can do nothing while it is blocked; the kernel buffers for it.',
      ],
      failures: runs.flatMap(failures),
    }
  },
}

/** Measures one peer. The load runs for longer than the block, so that it shows the time afterwards as well. */
async function measureBlocked(peer: Peer, server: Server, blockMs: number): Promise<BlockedRun> {
  const load = startEchoLoad(server.port, undefined, shape, { warmupMs: 500 + blockMs, durationMs: 1000 })
  const newcomers = new HoldLoad(server.port, undefined)
  await load.next('ready')
  await sleep(400)

  const before = residentBytes(server.pid)
  const watch = watchGrowth(server.pid)
  const unblocked = server.block(blockMs)
  await sleep(100)
  const opened = await newcomers.tryOpen(newConnections, blockMs - 200)
  await unblocked
  const grownBytes = watch.stop() - before

  const after = await resultOf(load)
  await newcomers.close('fin')
  await newcomers.stop()
  await load.stop()
  await server.reaches(0)
  const accepted = number(opened, 'connections') - number(opened, 'queued')
  return { peer: peer.name, blockedMs: blockMs, grownBytes, accepted, ...after }
}

function watchGrowth(pid: number): { stop(): number } {
  let highest = residentBytes(pid)
  const look = () => {
    highest = Math.max(highest, residentBytes(pid))
  }
  const timer = setInterval(look, 20)
  return {
    stop() {
      clearInterval(timer)
      look()
      return highest
    },
  }
}

async function resultOf(
  load: LineProcess,
): Promise<Pick<BlockedRun, 'messagesAfter' | 'errors' | 'lostBytes' | 'silentConnections'>> {
  const result = await load.next('result')
  return {
    messagesAfter: number(result, 'messages'),
    errors: number(result, 'errors'),
    lostBytes: number(result, 'lostBytes'),
    silentConnections: number(result, 'silentConnections'),
  }
}

function targets(runs: readonly BlockedRun[]): Target[] {
  const own = runs.find(({ peer }) => peer === 'c1m')
  if (own === undefined) return []
  return [
    atMost('MiB that RSS grows by while blocked', 64, own.grownBytes / 2 ** 20),
    atLeast('new connections accepted while blocked', newConnections, own.accepted),
  ]
}

function failures({ peer, errors, lostBytes, silentConnections }: BlockedRun): string[] {
  if (errors === 0 && lostBytes === 0 && silentConnections === 0) return []
  return [
    `${peer}: ${errors} connections broken, ${lostBytes} bytes lost, ${silentConnections} connections silent after`,
  ]
}
