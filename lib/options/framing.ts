import { inspect } from 'node:util'
import { invalidType, invalidValue, outOfRange } from '../base/errors.js'
import { checkBoolean, checkInteger, checkKeys, checkObject, checkOneOf, isBytes, keysOf } from '../base/validate.js'
import type { FramingSpec } from '../native/binding-types.js'

const DEFAULT_MAX_FRAME_BYTES = 2 ** 20
const MAX_FRAME_BYTES = 2 ** 30
const MAX_DELIMITER_BYTES = 256
const EMPTY = Buffer.alloc(0)

/** Options of `lengthPrefixed()`. */
export interface LengthPrefixedOptions {
  /** Bytes of the length: 1, 2 or 4. Default: 4. */
  bytes?: 1 | 2 | 4 | undefined
  /** The byte order of the length; `'big'` is network byte order. Default: `'big'`. */
  endian?: 'big' | 'little' | undefined
  /** True if the length counts its own bytes, too. Default: `false`. */
  includesHeader?: boolean | undefined
  /**
   * The max length of a frame, without its length field. A longer one closes the connection with
   * ERR_C1M_FRAME_TOO_LARGE. On each connection this number of bytes, and some more, may wait for the rest of a frame.
   * 1 to 2^30, or to the max of the length field. Default: 1 MiB, or the max of the length field.
   */
  maxFrameBytes?: number | undefined
}

/** Options of `delimited()`. */
export interface DelimitedOptions {
  /**
   * The max length of a frame, without the delimiter. A longer one closes the connection with ERR_C1M_FRAME_TOO_LARGE,
   * as soon as this number of bytes has come without a delimiter. On each connection this number of bytes, and some
   * more, may wait for it. 1 to 2^30. Default: 1 MiB.
   */
  maxFrameBytes?: number | undefined
}

const prefixedKeys = keysOf<LengthPrefixedOptions>({
  bytes: true,
  endian: true,
  includesHeader: true,
  maxFrameBytes: true,
})
const delimitedKeys = keysOf<DelimitedOptions>({ maxFrameBytes: true })

/**
 * The rule by which a stream of bytes is cut into frames: made by `lengthPrefixed()` or `delimited()`, for the
 * `framing` of a listener or an outgoing connection, for `conn.setFraming()` and `writeFrame()`. Immutable, and may be
 * shared.
 */
export abstract class Framing {
  /** The max length of a frame, without length field or delimiter. */
  abstract readonly maxFrameBytes: number
  /** @internal The framing as the core takes it. */
  abstract readonly spec: FramingSpec

  /**
   * Returns a whole frame, as bytes to be sent, in a buffer of its own: for a frame that is written to many
   * connections. Otherwise `writeFrame()` copies less.
   *
   * Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE) for a payload that is neither a string nor bytes, a RangeError
   * (ERR_C1M_OUT_OF_RANGE) for one that the length field can't express, and a TypeError (ERR_C1M_INVALID_ARG_VALUE) for
   * one that contains the delimiter, because it would arrive as two.
   *
   * @param payload A string is sent as UTF-8.
   * @example
   * const frame = lengthPrefixed({ bytes: 2 }).encode('hello') // 00 05 68 65 6c 6c 6f
   */
  encode(payload: string | Uint8Array): Buffer {
    const bytes = payloadBytes(payload)
    this.check(bytes)
    return Buffer.concat([this.before(bytes.length), bytes, this.after()])
  }

  /** @internal Throws if these bytes can't be a frame's payload. */
  abstract check(payload: Uint8Array): void
  /** @internal Returns the bytes in front of a payload of this length; valid until the next call. */
  abstract before(length: number): Uint8Array
  /** @internal Returns the bytes behind a payload. */
  abstract after(): Uint8Array
}

class LengthPrefixed extends Framing {
  readonly maxFrameBytes: number
  readonly spec: FramingSpec
  readonly #maxPayload: number
  readonly #extra: number
  readonly #scratch: Buffer
  readonly #little: boolean

  constructor(options: LengthPrefixedOptions | undefined) {
    super()
    const given = checkObject('options', options)
    checkKeys('options', given, prefixedKeys)
    const { bytes = 4, endian = 'big', includesHeader = false, maxFrameBytes } = given
    if (typeof bytes !== 'number') throw invalidType('bytes', '1, 2 or 4', bytes)
    if (bytes !== 1 && bytes !== 2 && bytes !== 4) throw outOfRange('bytes', '1, 2 or 4', bytes)
    this.#little = checkOneOf('endian', endian, ['big', 'little']) === 'little'
    this.#extra = checkBoolean('includesHeader', includesHeader) ? bytes : 0
    this.#scratch = Buffer.alloc(bytes)
    this.#maxPayload = 2 ** (8 * bytes) - 1 - this.#extra
    const max = Math.min(MAX_FRAME_BYTES, this.#maxPayload)
    this.maxFrameBytes = checkMaxFrameBytes(maxFrameBytes ?? Math.min(DEFAULT_MAX_FRAME_BYTES, max), max)
    this.spec = Object.freeze({
      lengthBytes: bytes,
      littleEndian: this.#little,
      includesHeader: this.#extra > 0,
      maxFrameBytes: this.maxFrameBytes,
    })
    Object.freeze(this)
  }

  check(payload: Uint8Array): void {
    if (payload.length > this.#maxPayload)
      throw outOfRange('payload.length', `0 to ${this.#maxPayload} bytes`, payload.length)
  }

  before(length: number): Uint8Array {
    const scratch = this.#scratch
    if (this.#little) {
      scratch.writeUIntLE(length + this.#extra, 0, scratch.length)
    } else {
      scratch.writeUIntBE(length + this.#extra, 0, scratch.length)
    }
    return scratch
  }

  after(): Uint8Array {
    return EMPTY
  }
}

class Delimited extends Framing {
  readonly maxFrameBytes: number
  readonly spec: FramingSpec
  readonly #delimiter: Buffer
  /**
   * The ends of a payload that would complete a delimiter with the one behind them; there are some if a delimiter ends
   * as it begins.
   */
  readonly #early: readonly Buffer[]

  constructor(delimiter: string | Uint8Array, options: DelimitedOptions | undefined) {
    super()
    if (typeof delimiter !== 'string' && !isBytes(delimiter)) {
      throw invalidType('delimiter', 'a string, a Buffer or a Uint8Array', delimiter)
    }
    // The bytes are copied, because the caller's may change.
    const bytes = Buffer.from(delimiter as Uint8Array)
    if (bytes.length < 1 || bytes.length > MAX_DELIMITER_BYTES) {
      throw outOfRange('delimiter.length', `1 to ${MAX_DELIMITER_BYTES} bytes`, bytes.length)
    }
    const given = checkObject('options', options)
    checkKeys('options', given, delimitedKeys)
    const { maxFrameBytes = DEFAULT_MAX_FRAME_BYTES } = given
    this.maxFrameBytes = checkMaxFrameBytes(maxFrameBytes, MAX_FRAME_BYTES)
    this.#delimiter = bytes
    this.#early = earlyEnds(bytes)
    this.spec = Object.freeze({ delimiter: bytes, maxFrameBytes: this.maxFrameBytes })
    Object.freeze(this)
  }

  check(payload: Uint8Array): void {
    const bytes = Buffer.isBuffer(payload)
      ? payload
      : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    const delimiter = this.#delimiter
    const found = delimiter.length === 1 ? bytes.indexOf(delimiter[0] as number) : bytes.indexOf(delimiter)
    if (found >= 0) throw invalidValue(`"payload" must not contain the delimiter, which is at byte ${found}`)
    for (const end of this.#early) {
      if (bytes.length >= end.length && end.equals(bytes.subarray(-end.length))) {
        throw invalidValue('"payload" must not end in bytes that form a delimiter with the one behind it')
      }
    }
  }

  before(): Uint8Array {
    return EMPTY
  }

  after(): Uint8Array {
    return this.#delimiter
  }
}

/**
 * Frames with their length in front, as an unsigned integer. `data` gets the payload, without the length; an empty
 * frame is an empty chunk.
 *
 * Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE, ERR_C1M_INVALID_ARG_VALUE) or RangeError (ERR_C1M_OUT_OF_RANGE) for bad
 * options.
 *
 * @example
 * const framing = lengthPrefixed({ bytes: 2 })
 * await reactor.listen({ port: 7000, framing }, {
 *   data(conn, message) { writeFrame(conn, framing, message) },
 * })
 */
export function lengthPrefixed(options?: LengthPrefixedOptions): Framing {
  return new LengthPrefixed(options)
}

/**
 * Frames that end in these bytes, for example lines. `data` gets the bytes between two of them, without the delimiter;
 * an empty frame is an empty chunk. Bytes after the last delimiter, before the peer's FIN, are no frame, and are
 * dropped.
 *
 * Throws a TypeError (ERR_C1M_INVALID_ARG_TYPE) or RangeError (ERR_C1M_OUT_OF_RANGE) for a bad delimiter or options.
 *
 * @param delimiter 1 to 256 bytes; a string is converted to UTF-8.
 * @example
 * await reactor.listen({ port: 7000, framing: delimited('\r\n', { maxFrameBytes: 4096 }) }, {
 *   data(conn, line) { console.log(line.toString()) },
 * })
 */
export function delimited(delimiter: string | Uint8Array, options?: DelimitedOptions): Framing {
  return new Delimited(delimiter, options)
}

/** @internal */
export function checkFraming(framing: unknown): Framing | undefined {
  if (framing === undefined || framing instanceof Framing) return framing
  const error = invalidType('framing', 'made by lengthPrefixed() or delimited()', framing)
  if (typeof framing === 'string') error.message += `; is delimited(${inspect(framing)}) meant?`
  throw error
}

function earlyEnds(delimiter: Buffer): Buffer[] {
  const ends: Buffer[] = []
  for (let size = 1; size < delimiter.length; size++) {
    if (delimiter.subarray(size).equals(delimiter.subarray(0, delimiter.length - size))) {
      ends.push(delimiter.subarray(0, size))
    }
  }
  return ends
}

function checkMaxFrameBytes(value: unknown, max: number): number {
  return checkInteger('maxFrameBytes', value, 1, max)
}

/** @internal Returns a payload as bytes. */
export function payloadBytes(payload: unknown): Uint8Array {
  if (typeof payload === 'string') return Buffer.from(payload)
  if (isBytes(payload)) return payload
  throw invalidType('payload', 'a string, a Buffer or a Uint8Array', payload)
}
