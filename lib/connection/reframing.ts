import { invalidType } from '../base/errors.js'
import { needStack } from '../base/stack.js'
import { isBytes } from '../base/validate.js'
import type { BufferedEvents } from '../io/connection-context.js'
import type { IoPort } from '../io/io-port.js'
import { checkFraming, type Framing } from '../options/framing.js'
import { destroyForMemory } from './want-of-memory.js'

/**
 * A change of framing that is under way. From `setFraming()` on nothing is delivered. The I/O thread stops reading, and
 * says so behind all that it had read before; that, cut as it was, comes here, is made into the bytes again that it had
 * been, and goes back, to be cut anew in front of what is read next.
 */
class Reframing {
  readonly #from: Framing | undefined
  readonly pieces: Uint8Array[] = []
  to: Framing | undefined
  /** The peer's FIN is behind them. */
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
/** Of connections that have changed it: how their bytes are cut. */
const framings = new WeakMap<object, { readonly framing: Framing | undefined }>()

/** Checks the arguments of `setFraming()`. */
export function checkReframe(framing: unknown, rest: unknown): void {
  checkFraming(framing)
  if (rest !== undefined && !isBytes(rest)) throw invalidType('rest', 'a Buffer or a Uint8Array', rest)
}

/** Whether its bytes are cut into frames, or a change of that is under way. */
export function isFramed(conn: object, from: Framing | undefined): boolean {
  const own = framings.get(conn)
  return reframings.has(conn) || (own === undefined ? from : own.framing) !== undefined
}

/** True if it begins a change; false if it changes the aim of one that is under way. */
export function reframe(
  conn: object,
  from: Framing | undefined,
  to: Framing | undefined,
  rest: Uint8Array | undefined,
  buffered: BufferedEvents | undefined,
): boolean {
  needStack()
  const underWay = reframings.get(conn)
  const own = framings.get(conn)
  const reframing = underWay ?? new Reframing(own === undefined ? from : own.framing)
  reframing.to = to
  if (underWay === undefined) {
    // What the handler has not heard of, as it had paused.
    for (const event of buffered?.events.splice(0) ?? []) reframing.push(event)
    reframings.set(conn, reframing)
  }
  // Copied: it may be a borrowed chunk's.
  if (rest !== undefined) reframing.pieces.unshift(Uint8Array.from(rest))
  return underWay === undefined
}

/** Something that came while it was under way; a chunk must not change any more. */
export function bufferForReframing(conn: object, event: BufferedEvents['events'][number]): void {
  reframings.get(conn)?.push(event)
}

/** The I/O thread has stopped reading: it gets back what came meanwhile, and goes on. */
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
    // Nobody else would have it read on.
    destroyForMemory(conn)
  }
}
