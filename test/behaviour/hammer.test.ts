import { once } from 'node:events'
import { createServer, type ListenOptions, type Server } from 'node:net'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { type Test, test } from 'tap'
import { SANITIZED } from '../fixtures/built.js'
import { collectGarbage } from '../fixtures/garbage.js'
import { SourceFile } from '../fixtures/hammer/files.js'
import { FRAMING } from '../fixtures/hammer/frames.js'
import { FAR_OPERATIONS, NEAR_OPERATIONS, WORLD_OPERATIONS } from '../fixtures/hammer/operations.js'
import { WatchedPipe } from '../fixtures/hammer/watched.js'
import { Workers } from '../fixtures/hammer/workers.js'
import { Chooser, type Door, World } from '../fixtures/hammer/world.js'
import { openDescriptors } from '../fixtures/host.js'
import { makePipe } from '../fixtures/pipe.js'
import { seeded } from '../fixtures/random.js'
import { makeReactor, TRIGGERS, until } from '../fixtures/reactor.js'
import { temporaryDirectory } from '../fixtures/temporary.js'

/** The number of operations. With the same seed they are the same, in the same order, as far as the kernel permits. */
const OPERATIONS = Number(process.env.C1M_HAMMER_OPERATIONS ?? (SANITIZED ? 15_000 : 30_000))
/** True if accepting fails at times, as in `npm run test:faults`. */
const FAULTS = process.env.C1M_FAULTS?.includes('accept') ?? false
/** The number of operations in a turn of Node's event loop. */
const OPERATIONS_A_TURN = 16
const MAX_CONNECTIONS = 350

async function listening(where: ListenOptions): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }).listen(where)
  await once(server, 'listening')
  return server
}

function memoryInUse(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

async function doAll(world: World): Promise<void> {
  const ofNear = new Chooser(NEAR_OPERATIONS, world, '')
  const ofFar = new Chooser(FAR_OPERATIONS, world, '')
  const ofWorld = new Chooser(WORLD_OPERATIONS, world, '')
  for (let done = 0; done < OPERATIONS && world.failures.length === 0; ) {
    // Some connections close before their operation, which is a case of its own.
    const nears = [...world.nears]
    const fars = [...world.fars]
    for (let i = 0; i < OPERATIONS_A_TURN; i++, done++) {
      const kind = world.random.integer(0, 9)
      if (kind < 5 && nears.length > 0) ofNear.run(world.random.pick(nears))
      else if (kind < 9 && fars.length > 0) ofFar.run(world.random.pick(fars))
      else ofWorld.run(world)
    }
    await turn()
  }
}

/** Checks that each operation and each outcome has happened, because one that never happens tests nothing. */
function allHappened(t: Test, { around, counts, relays, room, thrown }: World): void {
  const names = [NEAR_OPERATIONS, FAR_OPERATIONS, WORLD_OPERATIONS].flatMap((operations) => Object.keys(operations))
  t.comment(names.map((name) => `${name}: ${counts.get(name)}`).join(', '))
  t.strictSame(
    names.filter((name) => !counts.has(name)),
    [],
    'each operation was done',
  )
  const happened = {
    relays: relays.ended,
    'taken back': counts.get('taken back') ?? 0,
    thrown,
    reached: room.counts.reached,
    ...around.file.counts,
    ...around.workers.counts,
  }
  t.comment(JSON.stringify(happened))
  t.ok(Math.min(...Object.values(happened)) > 0, 'each outcome was seen')
}

for (const trigger of TRIGGERS) {
  test(`${OPERATIONS} operations at random, on thousands of connections (${trigger})`, {
    timeout: 240_000,
  }, async (t) => {
    const random = seeded(1)
    t.comment(`C1M_SEED=${random.seed}`)
    const folder = temporaryDirectory(t)
    // With the first stream of a process libuv opens a descriptor that it keeps.
    await once(createServer().listen(0).close(), 'close')
    const pipe = makePipe(t)
    await collectGarbage()
    const descriptors = openDescriptors()
    const memory = memoryInUse()

    const reactor = makeReactor(t, { maxConnections: MAX_CONNECTIONS, trigger, poisonBorrowed: true })
    const doors: Door[] = [
      { options: { host: '127.0.0.1', port: 0 } },
      { options: { host: '127.0.0.1', port: 0, read: 'borrowed' } as const },
      { options: { host: '127.0.0.1', port: 0, allowHalfOpen: true } },
      { options: { host: '127.0.0.1', port: 0, framing: FRAMING } },
      { options: { path: join(folder, 'hammer'), allowHalfOpen: true, read: 'borrowed' } as const },
    ].map((door) => ({ ...door, listener: undefined, moving: false }))
    const servers = await Promise.all([{ port: 0, host: '127.0.0.1' }, { path: join(folder, 'server') }].map(listening))
    const file = new SourceFile(folder)
    const watched = new WatchedPipe(reactor, pipe, FAULTS)
    const workers = new Workers()
    const around = { lacksMemory: FAULTS, file, watched, workers }
    const world = new World(reactor, random, doors, servers, around, NEAR_OPERATIONS)
    for (const door of doors) await world.open(door)

    await doAll(world)

    await world.calm()
    const { drained, cut } = await reactor.shutdown({ timeoutMs: 30_000 })
    const stats = reactor.stats()
    for (const far of world.fars) far.end(0)
    await world.verify(FAULTS ? stats.shed + stats.acceptErrors : 0)
    t.strictSame(world.failures, [])
    t.equal(cut, 0, `all remaining connections (${drained}) ended in time`)

    t.equal(world.nears.size, 0)
    t.equal(reactor.connections.size, 0)
    // After an abort no event is delivered for an outgoing connection, even if it is already open.
    const withoutEvents = stats.accepted + stats.connected - world.closed.length
    t.ok(withoutEvents >= 0 && withoutEvents <= world.called.aborted, 'one open and one close for each')
    t.ok(world.closed.length > OPERATIONS / 20, `${world.closed.length} connections`)
    t.equal(stats.queueBytes, 0)
    t.equal(stats.acceptErrors > 0, FAULTS)
    t.equal(world.caught, world.thrown, 'exceptions of handlers are reported once')
    t.comment(
      `${world.dialled} peers, ${world.called.all} calls, ${world.closed.length} connections, ${world.handled} calls of handlers`,
    )
    t.comment(`${stats.saturations} times full, ${stats.bytesRead} bytes read, ${stats.bytesWritten} written`)
    await workers.pool.close()
    file.close()
    allHappened(t, world)
    t.equal(world.room.group.size, 0, 'members leave when they close')
    await until(() => openDescriptors() === descriptors, 'as many descriptors as before')
    world.closed.length = 0
    world.streams.clear()
    // The batches and pools of each I/O thread, and code, also that of the worker pool.
    const maxGrowth = (32 + 8 * stats.ioThreads.length) * 1024 * 1024
    let grown = Number.POSITIVE_INFINITY
    // Collected buffers count until V8 has swept them.
    for (let round = 0; grown >= maxGrowth && round < 20; round++) {
      await collectGarbage()
      grown = memoryInUse() - memory
    }
    t.ok(grown < maxGrowth, `${(grown / 2 ** 20).toFixed(1)} MiB more in use than before`)
  })
}
