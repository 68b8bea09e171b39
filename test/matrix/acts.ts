import type { Timeouts } from 'c1m'
import { relay } from 'c1m'
import { moveIfMovable, threadAt, threadOf } from '../fixtures/move.js'
import type { Feature } from './features.js'
import { FRAMINGS, type Near } from './near.js'
import type { Run } from './run.js'
import { recordsOf } from './tasks.js'
import { recordOf } from './wire.js'
import { FILE_RECORD } from './world.js'

type Act = (run: Run, number: number) => void

const TIMEOUT_MS = 30
/** The deadlines of a reactor that can drain, and of one whose peer prevents that. */
const SHUTDOWN_MS = { drains: 20_000, stuck: 300 }
/** The time that a shutdown may take beyond its deadline on a busy machine. */
const LATE_MS = 4000

const never = () => false
/** True if the connection was ended by force, or may have been. */
const violated = (run: Run, near: Near) => !run.regular(near) || !near.open || run.scenario.peer === 'resets'

function timeout(timeouts: Timeouts, must: boolean): Act {
  return (run) => {
    const { near } = run
    if (near.socket !== undefined) return
    const { open, leaving } = near
    const took = near.conn.setTimeouts(timeouts)
    near.expect(took === open, 'setTimeouts()')
    if (open && must && !leaving) run.mustTimeOut = true
  }
}

function detach(run: Run, number: number, then?: () => void): void {
  const { near } = run
  if (near.socket !== undefined) return
  const may = near.open && !near.leaving && near.relayed === undefined && near.cut === 'bytes'
  if (may) near.leaving = true
  const leave = near.conn.detach().then(
    (socket) => {
      near.expect(!near.stayed, 'detached, though it heard of something meanwhile')
      near.leaving = false
      near.paused = false
      near.became(socket)
      if (!near.ended) near.send('detach', number, 3000)
      then?.()
    },
    (error) => {
      if (may) near.leaving = false
      throw error
    },
  )
  run.promise(
    'detach()',
    leave,
    () => may,
    (code) => {
      if (!may) return code === 'ERR_C1M_CONNECTION_CLOSED' || code === 'ERR_C1M_INVALID_ARG_VALUE'
      if (code === 'EBUSY') return run.has('file')
      return violated(run, near) || near.closes === near.opens
    },
  )
}

/** Detaches the connection, and adopts the socket. */
function adopt(run: Run, number: number): void {
  detach(run, number, () => {
    const { near, world } = run
    const { socket } = near
    if (socket === undefined) return
    const open = (conn: Near['conn']) => {
      near.socket = undefined
      near.conn = conn
      near.opens++
      near.endSeen = false
      near.handled()
    }
    const options = { ...world.options({ ...run.kind, framed: false }), data: near }
    near.adopting = true
    const adopting = world.reactor.adopt<Near>(socket, { ...world.handlers, open }, options)
    run.promise(
      'adopt()',
      adopting.finally(() => {
        near.adopting = false
      }),
      () => true,
      (code) =>
        code === 'ERR_C1M_REACTOR_CLOSED'
          ? run.has('shutdown')
          : near.ended || near.endSeen || near.gone || violated(run, near),
    )
  })
}

function join(run: Run): void {
  const { near, partner } = run
  if (partner === undefined || near.socket !== undefined) return
  const both = [near, partner] as const
  const may = both.every((one) => one.writable && one.cut === 'bytes')
  const relaying = relay(near.conn, partner.conn)
  if (may) {
    for (const [one, other] of [both, [partner, near]] as const) {
      one.relayed = other
      one.paused = false
      one.outbox.relay(other.stream, other.position)
    }
  }
  run.promise(
    'relay()',
    relaying,
    ({ reason }) => may && (reason !== 'end' || both.every((one) => run.regular(one))),
    (code) => !may && (code === 'ERR_C1M_CONNECTION_CLOSED' || code === 'ERR_C1M_INVALID_ARG_VALUE'),
  )
  for (const { far } of both) far.send(2)
}

/** The actions of the features on the connection of a run. */
export const ACTS: Readonly<Record<Feature, Act>> = {
  write({ near }, number) {
    near.send('write', number, 60)
    near.send('write', number, 400_000)
  },
  file(run, number) {
    const { near, world } = run
    if (near.socket !== undefined) return
    const { writable } = near
    if (writable) near.outbox.accepted(recordOf('file', number, FILE_RECORD))
    const start = number * FILE_RECORD
    let rejected: string | undefined
    const sending = near.conn.sendFile(world.file, { start, end: start + FILE_RECORD })
    run.promise(
      'sendFile()',
      sending,
      (bytes) => writable && bytes === FILE_RECORD,
      (code) => {
        rejected = code
        return true
      },
    )
    run.later.push(() => {
      near.expect(rejected === undefined || !writable || !run.regular(near), `sendFile() rejected with ${rejected}`)
    })
  },
  broadcast(run, number) {
    const { near, world } = run
    if (near.socket !== undefined) return
    const { open, writable, leaving } = near
    const group = world.reactor.createGroup<Near>()
    near.expect(group.add(near.conn) === open, 'group.add()')
    const bytes = recordOf('group', number, 300_000)
    if (writable || leaving) near.outbox.accepted(bytes, writable)
    run.promise('broadcast()', group.broadcast(bytes), ({ reached, queued, cut }) => reached + queued + cut <= 1, never)
  },
  remote(run, number) {
    const { near, world } = run
    if (near.socket !== undefined) return
    const task = { kind: 'write', number } as const
    const sent = recordsOf(task).map((bytes) => near.outbox.accepted(bytes, false, `task ${number}`))
    const written = near.during(world.pool.run(task, { connection: near.conn })).then(() => {
      // Records written before the end must be sent before the FIN.
      if (near.writable && near.opens === 1) for (const record of sent) record.required = true
      return true
    })
    run.promise('a task that writes', written, Boolean, (code) => code === 'ERR_C1M_CONNECTION_CLOSED' && !near.open)
  },
  framing(run, number) {
    run.near.far.send(3)
    run.near.send('frame', number, 5000)
  },
  reframe({ near }) {
    if (near.socket !== undefined) return
    const { cut, stream, position, writable } = near
    const boundary = stream.boundary(position)
    const next = cut === 'length' ? 'newline' : 'length'
    const rest = cut === 'bytes' ? stream.bytes.subarray(boundary, position) : undefined
    near.expect(near.conn.setFraming(FRAMINGS[next], rest) === writable, 'setFraming()')
    if (writable) {
      near.cut = next
      if (rest !== undefined) near.position = boundary
    }
    near.far.send(2)
  },
  pause({ near }) {
    near.pause()
    near.far.send(2)
  },
  relay: join,
  move(run) {
    const { near, world } = run
    if (near.socket !== undefined) return
    if (!near.open) return
    const moving: Promise<unknown> =
      world.threads === 1
        ? world.reactor.rebalance({ idleMs: 0 })
        : moveIfMovable(near.conn as never, threadAt(world.reactor, (threadOf(near.conn).index + 1) % world.threads))
    const closing = run.has('shutdown')
    run.promise(
      'a move',
      moving,
      () => true,
      (code) => closing && code === 'ERR_C1M_REACTOR_CLOSED',
    )
  },
  detach: (run, number) => detach(run, number),
  adopt,
  connect(run) {
    const { world, desk } = run
    const connecting = world.reactor.connect({ host: '127.0.0.1', port: desk.port })
    const done = connecting.then((conn) => desk.socketOf(conn.localPort as number).then((socket) => socket.destroy()))
    run.promise(
      'connect()',
      done,
      () => true,
      (code) => run.has('shutdown') && code === 'ERR_C1M_REACTOR_CLOSED',
    )
  },
  halfClose({ near }) {
    near.far.send(1)
    near.far.end()
  },
  idle: timeout({ idleMs: TIMEOUT_MS }, true),
  read: timeout({ readMs: TIMEOUT_MS }, false),
  writeTimeout: timeout({ writeMs: TIMEOUT_MS }, false),
  total: timeout({ totalMs: TIMEOUT_MS }, true),
  end({ near }, number) {
    near.send('end', number, 700)
    near.end()
  },
  destroy: ({ near }) => near.destroy(new Error('destroyed')),
  reset: ({ near }) => near.reset(),
  listener(run) {
    run.promise('listener.close()', run.listener?.close() ?? Promise.resolve(), () => true, never)
  },
  shutdown(run) {
    const begun = Date.now()
    const timeoutMs = run.scenario.peer === 'stuck' ? SHUTDOWN_MS.stuck : SHUTDOWN_MS.drains
    const shut = run.world.reactor.shutdown({ timeoutMs })
    const inTime = () => Date.now() - begun < timeoutMs + LATE_MS
    run.promise('shutdown()', shut, ({ cut }) => inTime() && (cut === 0 || run.scenario.peer === 'stuck'), never)
  },
  task(run, number) {
    const { near, world } = run
    if (near.socket !== undefined) return
    const task = near.during(world.pool.run<number>({ kind: 'same', number }, { connection: near.conn, ordered: true }))
    const done = task.then((result) => {
      near.send('task', number, 2000)
      return result
    })
    run.promise(
      'a task',
      done,
      (result) => result === number,
      (code) => code === 'ERR_C1M_CONNECTION_CLOSED' && !near.open,
    )
  },
  throw({ near }) {
    near.throwNext = true
    near.far.send(1)
  },
  unref: ({ world }) => void world.reactor.unref(),
}
