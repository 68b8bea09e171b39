import { invalidType } from '../base/errors.js'
import { needStack } from '../base/stack.js'
import { isBytes } from '../base/validate.js'
import type { BufferedEvents } from '../io/connection-context.js'
import type { IoPort } from '../io/io-port.js'
import { checkFraming, type Framing } from '../options/framing.js'
import { destroyOutOfMemory } from './out-of-memory.js'

/**
 * A change of framing that is in progress. Nothing is delivered from `setFraming()` on. The I/O thread stops reading,
 * and reports that behind all that it had read before. Those events, cut by the old framing, come here and are joined
 * into the original bytes. They go back, to be cut again in front of what is read next.
 */
class Reframing {
  readonly #from: Framing | undefined
  readonly pieces: Uint8Array[] = []
  to: Framing | undefined
  /** True if the peer's FIN is behind the pieces. */
  ended = false

  constructor(from: Framing | undefined) {
    this.#from = from
  }

  push(event: BufferedEvents['events'][number]): void {
    if (event === 'end') {
      this.ended = true
    } else if (event !== 'invalid frame') {
      if (this.#from === undefined) this.pieces.push(event)
      else this.pieces.push(Uint8Array.from(this.#from.before(event.length)), event, this.#from.after())
    }
  }
}

const reframings = new WeakMap<object, Reframing>()
/** The framing of each connection that has changed it. */
const framings = new WeakMap<object, { readonly framing: Framing | undefined }>()

/** Checks the arguments of `setFraming()`. */
export function checkReframe(framing: unknown, rest: unknown): void {
  checkFraming(framing)
  if (rest !== undefined && !isBytes(rest)) throw invalidType('rest', 'a Buffer or a Uint8Array', rest)
}

/** True if its bytes are cut into frames, or a change of that is in progress. */
export function isFramed(conn: object, from: Framing | undefined): boolean {
  const own = framings.get(conn)
  return reframings.has(conn) || (own === undefined ? from : own.framing) !== undefined
}

/** Returns true if it begins a change; false if it changes the target of one that is in progress. */
export function reframe(
  conn: object,
  from: Framing | undefined,
  to: Framing | undefined,
  rest: Uint8Array | undefined,
  buffered: BufferedEvents | undefined,
): boolean {
  needStack()
  const current = reframings.get(conn)
  const own = framings.get(conn)
  const reframing = current ?? new Reframing(own === undefined ? from : own.framing)
  reframing.to = to
  if (current === undefined) {
    // Events that the handler has not been given, because the connection was paused.
    for (const event of buffered?.events.splice(0) ?? []) reframing.push(event)
    reframings.set(conn, reframing)
  }
  // A copy, because the bytes may belong to a borrowed chunk.
  if (rest !== undefined) reframing.pieces.unshift(Uint8Array.from(rest))
  return current === undefined
}

/** Buffers an event that came during the change; a chunk must not change any more. */
export function bufferForReframing(conn: object, event: BufferedEvents['events'][number]): void {
  reframings.get(conn)?.push(event)
}

/** Completes the change after the I/O thread has stopped reading: it gets back the buffered bytes, and continues. */
export function finishReframing(
  conn: { destroy(error: Error): void },
  io: IoPort,
  slot: number,
  generation: number,
): void {
  const reframing = reframings.get(conn)
  if (reframing === undefined) return
  const { to, pieces, ended } = reframing
  reframings.delete(conn)
  framings.set(conn, { framing: to })
  try {
    const bytes = Buffer.concat(pieces)
    io.commands.request((batch) => io.native.reframe(batch, slot, generation, to?.spec, bytes, ended))
  } catch {
    // Without this request, nothing would resume reading.
    destroyOutOfMemory(conn)
  }
}
