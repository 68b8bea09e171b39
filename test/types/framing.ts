import type { Connection, Framing, ListenOptions } from 'c1m'
import { delimited, lengthPrefixed, writeFrame } from 'c1m'

// Compiled, and never run: the options of framings.

export const framings: Framing[] = [
  lengthPrefixed(),
  lengthPrefixed({ bytes: 2, endian: 'little', includesHeader: true, maxFrameBytes: 1000 }),
  delimited('\n'),
  delimited(Buffer.of(0), { maxFrameBytes: 1000 }),
  // @ts-expect-error: 1, 2 or 4
  lengthPrefixed({ bytes: 3 }),
  // @ts-expect-error: big or little
  lengthPrefixed({ endian: 'network' }),
  // @ts-expect-error: what ends a frame
  delimited(),
  // @ts-expect-error: a framing is made by one of these
  { maxFrameBytes: 1000 },
]

export const options: ListenOptions[] = [
  { port: 0, framing: delimited('\n') },
  { port: 0, framing: undefined },
  // @ts-expect-error: a framing
  { port: 0, framing: '\n' },
]

export function use(conn: Connection<{ name: string }>, framing: Framing, rest: Buffer): void {
  const changed: boolean = conn.setFraming(framing, rest)
  const written: boolean = writeFrame(conn, framing, 'text') && writeFrame(conn, framing, rest)
  const frame: Buffer = framing.encode(new Uint8Array(3))
  conn.setFraming(undefined)
  // @ts-expect-error: bytes
  conn.setFraming(framing, 'rest')
  // @ts-expect-error: a string or bytes
  writeFrame(conn, framing, 5)
  void [changed, written, frame]
}
