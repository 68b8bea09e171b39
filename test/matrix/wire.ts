// The bytes of the matrix. Both directions describe themselves, so that a stream is checked byte by byte, whatever
// order the features permit.
import { patternAt } from '../fixtures/pattern.js'

/** The first byte of a record. Frames, which are ASCII with a length in front, don't have it. */
const MAGIC = 0xc1
const NEWLINE = 0x0a
/** The number of bytes that identify a record. */
export const HEAD = 16

const records = new Map<string, Buffer>()

/** Returns a record of the reactor's side: a head that identifies it, and a body of its own, without a newline. */
export function recordOf(feature: string, number: number, length: number): Buffer {
  const key = `${feature} ${number} ${length}`
  let record = records.get(key)
  if (record === undefined) {
    record = Buffer.alloc(length)
    record[0] = MAGIC
    const name = `${feature.slice(0, 6).padEnd(6)}${String(number).padStart(2, '0')}${String(length).padStart(7, '0')}`
    record.write(name, 1, 'latin1')
    const seed = [...key].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 60_013, 7)
    for (let at = HEAD; at < length; at += 200_000)
      patternAt(seed + at, Math.min(200_000, length - at)).copy(record, at)
    for (let at = HEAD; at < length; at++) if (record[at] === NEWLINE) record[at] = 0
    records.set(key, record)
  }
  return record
}

/** Lengths of which no byte is a newline. */
const FRAME_LENGTHS = [20, 300, 5000, 33, 17_000, 64, 1500]
const FRAMES = 40

/**
 * The bytes that peers send: frames with their length in front, whose last byte is a newline, and no other. So each is
 * a
 * frame of either framing, the framing may change behind each, and the bytes are the same with any framing.
 */
export class Stream {
  readonly bytes: Buffer
  /** The offsets at which frames end, beginning with 0. */
  readonly ends: readonly number[]

  constructor(seed: number) {
    const parts: Buffer[] = []
    const ends = [0]
    for (let i = 0; i < FRAMES; i++) {
      const length = FRAME_LENGTHS[i % FRAME_LENGTHS.length] as number
      const frame = Buffer.alloc(4 + length)
      frame.writeUInt32BE(length)
      for (let at = 0; at < length - 1; at++) frame[4 + at] = 0x20 + ((at * 7 + i * 13 + seed) % 0x5f)
      frame[3 + length] = NEWLINE
      parts.push(frame)
      ends.push((ends.at(-1) as number) + frame.length)
    }
    this.bytes = Buffer.concat(parts)
    this.ends = ends
  }

  /** Returns the start of the frame in which this position lies. */
  boundary(position: number): number {
    return this.ends.findLast((end) => end <= position) as number
  }
}

export const STREAMS = { a: new Stream(1), b: new Stream(40) } as const

/** How received bytes are framed. */
export type Cut = 'bytes' | 'length' | 'newline'

interface Sent {
  readonly bytes: Buffer
  /** The name of a sequence, in which its records must come; records of two sequences have no order. */
  readonly order: string
  required: boolean
  received: boolean
}

/** The records that the reactor's side has sent to a peer, and those that the peer has received. */
export class Outbox {
  readonly #sent: Sent[] = []
  #head = Buffer.alloc(0)
  #current: { readonly sent: Sent; at: number } | undefined
  /** The stream of another peer, which a relay passes on behind the records, and the position in it. */
  #relayed: { readonly stream: Stream; at: number } | undefined
  relayedBytes = 0
  fault: string | undefined

  /** Adds accepted bytes, which must be received, or may if they are not `required`. */
  accepted(bytes: Buffer, required = true, order = 'js'): Sent {
    const sent: Sent = { bytes, order, required, received: false }
    this.#sent.push(sent)
    return sent
  }

  relay(stream: Stream, at: number): void {
    this.#relayed = { stream, at }
  }

  /** True if no record has been received in part. */
  get whole(): boolean {
    return this.#current === undefined && this.#head.length === 0
  }

  /** The required records that have not been received. */
  get missing(): string[] {
    return this.#sent
      .filter(({ required, received }) => required && !received)
      .map(({ bytes }) => bytes.toString('latin1', 0, HEAD + 4).replace(/[^ -~]/g, '.'))
  }

  /** Adds bytes that the peer has received. */
  feed(chunk: Buffer): void {
    let rest = chunk
    while (rest.length > 0 && this.fault === undefined) rest = this.#take(rest)
  }

  #take(chunk: Buffer): Buffer {
    if (this.#current !== undefined) return this.#inRecord(this.#current, chunk)
    const head = Buffer.concat([this.#head, chunk])
    const relayed = this.#relayed
    if (relayed !== undefined && head[0] !== MAGIC) {
      this.#head = Buffer.alloc(0)
      const expected = relayed.stream.bytes.subarray(relayed.at, relayed.at + head.length)
      if (!expected.equals(head)) return this.#fail(`wrong relayed bytes at ${relayed.at}`, head)
      relayed.at += head.length
      this.relayedBytes += head.length
      return head.subarray(head.length)
    }
    if (head.length < HEAD + 4) {
      this.#head = head
      return head.subarray(head.length)
    }
    this.#head = Buffer.alloc(0)
    const sent = this.#sent.find(
      ({ bytes, received }) =>
        !received && bytes.subarray(0, HEAD + 4).equals(head.subarray(0, Math.min(HEAD + 4, bytes.length))),
    )
    if (sent === undefined) return this.#fail('a record that was not sent, or was received twice', head)
    const before = this.#sent.slice(0, this.#sent.indexOf(sent))
    if (before.some(({ order, received, required }) => order === sent.order && required && !received)) {
      return this.#fail('a record out of order', head)
    }
    this.#current = { sent, at: 0 }
    return head
  }

  #inRecord(current: { readonly sent: Sent; at: number }, chunk: Buffer): Buffer {
    const { bytes } = current.sent
    const length = Math.min(bytes.length - current.at, chunk.length)
    if (!bytes.subarray(current.at, current.at + length).equals(chunk.subarray(0, length))) {
      return this.#fail(`wrong bytes in a record of ${bytes.length}, at ${current.at}`, chunk)
    }
    current.at += length
    if (current.at === bytes.length) {
      current.sent.received = true
      this.#current = undefined
    }
    return chunk.subarray(length)
  }

  #fail(what: string, got: Buffer): Buffer {
    this.fault = `${what}: ${got.toString('latin1', 0, 32).replace(/[^ -~]/g, '.')}`
    return got.subarray(got.length)
  }
}
