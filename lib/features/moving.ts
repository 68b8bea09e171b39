import { constants } from 'node:os'
import type { Addresses } from '../base/address.js'
import type { Connection } from '../connection/connection.js'
import { hasFiles } from '../connection/send-file.js'
import { beginTransit, endTransit } from '../connection/transit.js'
import type { ClosedOnMove, MoveOutcome } from '../native/binding-types.js'
import { SYSCALLS } from '../native/layout.js'
import { type IoThread, ioThreadOf } from '../thread/io-thread.js'

/**
 * The outcome for a connection that has left its thread and can't reach the other: its close has not been counted yet.
 */
const LOST: ClosedOnMove = { errno: constants.errno.ENOMEM, syscall: SYSCALLS.indexOf('read'), lost: true }

/**
 * @internal Moves a connection to another I/O thread of its reactor (`native/features/handover/migration.h` has the
 * steps). The move is visible to the kernel only: the object, its id, its groups and its timeouts stay the same, and so
 * does what is paused, unread and unsent. Commands that come meanwhile wait on the new thread.
 *
 * Resolves when the connection is there or has closed during the move, with whether it was moved. False if it had
 * closed before, if a file is in its queue or `may` returns false at that moment, if a shutdown cuts, or if there is no
 * slot for it; then it is where it was, and nothing has happened to it. The move waits for the two I/O threads only.
 * `muted`: it takes no broadcasts during the move.
 */
export async function move(
  conn: Connection<unknown>,
  to: IoThread,
  may: () => boolean,
  muted = false,
): Promise<boolean> {
  const { moves } = to.owner
  if (moves.stopped) return false
  moves.add()
  try {
    return await moveNow(conn, to, () => may() && !moves.stopped, muted)
  } finally {
    moves.remove()
  }
}

async function moveNow(conn: Connection<unknown>, to: IoThread, may: () => boolean, muted: boolean): Promise<boolean> {
  const before = conn.here
  if (before === undefined || before.io === to || hasFiles(conn)) return false
  const counter = before.io.flushedOf(before.slot)
  const limit = ioThreadOf(before).maxWriteQueueOf(before.slot)
  const reserved = await to.request<readonly [number, number] | undefined>((batch, callback) =>
    to.native.reserve(batch, callback, counter, muted, limit),
  )
  if (reserved === undefined) return false
  const [slot, generation] = reserved
  const send = (outcome: MoveOutcome) =>
    to.request<void>((batch, callback) => to.native.finishMove(batch, callback, slot, generation, outcome))
  const finish = (outcome: MoveOutcome) => {
    // The slot must not stay reserved: without memory for the outcome, the connection closes on the new thread.
    const finished = send(outcome).catch(() => send(outcome === undefined ? undefined : LOST))
    to.expected.delete(slot)
    return finished
  }
  const place = conn.here
  if (place === undefined || place.io === to || hasFiles(conn) || !may()) {
    await finish(undefined)
    return false
  }
  const io = ioThreadOf(place)
  const asked: { addresses?: Addresses } = {}
  const leaving = io.request<MoveOutcome>((batch, callback) => {
    const { addresses } = conn
    const at = io.native.moveOut(batch, callback, place.slot, place.generation)
    asked.addresses = addresses
    return at
  })
  const { addresses } = asked
  if (addresses === undefined) {
    await finish(undefined)
    // There is no memory: the connection is where it was.
    await leaving
    return false
  }
  const parcel = leaving.catch(() => LOST)
  const closed = await new Promise<ClosedOnMove>((resolve) => {
    // The connection changes threads here: earlier commands went to the old thread, later ones go to the new one.
    const context = to.moveIn(conn, slot, generation, place)
    to.expected.add(slot)
    conn.relocate(slot, generation, context)
    beginTransit(conn, addresses)
    io.moveOut(place.slot, (errno, syscall) => resolve({ errno, syscall }))
  })
  const outcome = (await parcel) ?? closed
  await finish(outcome)
  // A connection that closed during the move has no socket on the new thread to ask for its addresses.
  if (!('errno' in outcome)) endTransit(conn, addresses)
  return true
}
