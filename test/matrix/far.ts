import type { Socket } from 'node:net'
import type { Outbox, Stream } from './wire.js'

/** The kinds of peers. */
export const PEERS = {
  reads: 'reads all',
  stuck: 'never reads',
  slow: 'reads 64 KiB each few milliseconds',
  ends: 'reads, and sends its FIN meanwhile',
  resets: 'resets the connection meanwhile',
} as const
export type PeerKind = keyof typeof PEERS

/** A peer of `node:net`, which compares received bytes with the sent ones. */
export class Far {
  /** The number of bytes of its stream that it has sent. */
  sent = 0
  #frames = 0
  ended = false
  /** True if it has reset the connection, or the run has destroyed it. */
  gone = false
  closed = false
  endSeen = false
  error: NodeJS.ErrnoException | undefined

  constructor(
    readonly socket: Socket,
    readonly kind: PeerKind,
    readonly stream: Stream,
    readonly outbox: Outbox,
  ) {
    socket.on('data', (chunk) => {
      outbox.feed(chunk)
      if (this.kind !== 'slow' || this.endSeen) return
      socket.pause()
      setTimeout(() => socket.resume(), 2)
    })
    if (kind === 'stuck') socket.pause()
    socket.on('end', () => {
      this.endSeen = true
      this.end()
    })
    socket.on('error', (error) => {
      this.error = error
    })
    socket.on('close', () => {
      this.closed = true
    })
  }

  /** Sends the next frames, each in two pieces. */
  send(frames: number): void {
    for (let i = 0; i < frames && !this.ended && !this.gone && this.socket.writable; i++) {
      const end = this.stream.ends[++this.#frames] as number
      const cut = this.sent + Math.floor((end - this.sent) / 3)
      this.socket.write(this.stream.bytes.subarray(this.sent, cut))
      this.socket.write(this.stream.bytes.subarray(cut, end))
      this.sent = end
    }
  }

  end(): void {
    if (this.ended || this.gone) return
    this.ended = true
    this.socket.end()
  }

  reset(): void {
    this.gone = true
    this.socket.resetAndDestroy()
  }

  /** Does what its kind does while the features meet. */
  meanwhile(): void {
    if (this.kind === 'ends') this.end()
    if (this.kind === 'resets') this.reset()
  }
}
