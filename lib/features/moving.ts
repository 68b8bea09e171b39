import { constants } from 'node:os'
import type { Addresses } from '../base/address.js'
import type { Connection } from '../connection/connection.js'
import { hasFiles } from '../connection/send-file.js'
import { beginTransit, endTransit } from '../connection/transit.js'
import type { ClosedOnMove, MoveOutcome } from '../native/binding-types.js'
import { SYSCALLS } from '../native/layout.js'
import { type IoThread, ioThreadOf } from '../thread/io-thread.js'

/** It has left the one thread, and can't come to the other: nobody has counted its close yet. */
const LOST: ClosedOnMove = { errno: constants.errno.ENOMEM, syscall: SYSCALLS.indexOf('read'), lost: true }

/**
 * @internal Moves a connection to another I/O thread of its reactor (`native/features/handover/migration.h` has the steps). Nobody but the
 * kernel notices: the object, its id, its groups, its timeouts, what is paused, unread and unsent are as before. Whatever
 * is said to it meanwhile waits for it there.
 *
 * Resolves when it is there, or has closed on the way, with whether it was moved: false if it had closed before it could
 * be, if a file is in its queue or `may` says no at that moment, if a shutdown cuts, or if there is no slot for it; then it is where it was, and
 * nothing has been said to it. It waits for the two I/O threads, and for nobody else. `muted`: on its way it takes no broadcasts.
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
    to.request<void>((batch, callback) => to.native.settle(batch, callback, slot, generation, outcome))
  const finish = (outcome: MoveOutcome) => {
    // The slot must not wait for ever: without memory to bring it there, the connection closes there.
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
  const released = io.request<MoveOutcome>((batch, callback) => {
    const { addresses } = conn
    const at = io.native.release(batch, callback, place.slot, place.generation)
    asked.addresses = addresses
    return at
  })
  const { addresses } = asked
  if (addresses === undefined) {
    await finish(undefined)
    // For want of memory: it is where it was.
    await released
    return false
  }
  const answered = released.catch(() => LOST)
  const closed = await new Promise<ClosedOnMove>((resolve) => {
    // Here it changes hands: what was said before has been said to the one thread, what comes is said to the other.
    const context = to.moveIn(conn, slot, generation, place)
    to.expected.add(slot)
    conn.relocate(slot, generation, context)
    beginTransit(conn, addresses)
    io.moveOut(place.slot, (errno, syscall) => resolve({ errno, syscall }))
  })
  const outcome = (await answered) ?? closed
  await finish(outcome)
  // One that has closed on the way has no socket there to ask for its addresses.
  if (!('errno' in outcome)) endTransit(conn, addresses)
  return true
}
