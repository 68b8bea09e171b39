/** @internal A relay, in the place of a connection's handlers. */
export interface RelaySide {
  /** Bytes that were on their way to `data` when it began; valid until this returns. */
  data(chunk: Buffer): void
  /** True if it has taken care of it. */
  timeout(): boolean
  /** `destroy()` or `reset()` was called. */
  destroyed(reset: boolean): void
  /** Right before its `close` handler is called. */
  closed(destroyed: boolean, error: Error | undefined): void
}

/** @internal What a relay may do with a connection. */
export interface RelayAccess {
  readonly relayed: boolean
  /** Its bytes are cut into frames. */
  readonly framed: boolean
  /** Nothing comes to its handlers any more, and nobody but the relay writes. What was held back goes to the side at once. */
  take(side: RelaySide): void
  write(chunk: Uint8Array): void
  destroy(reset: boolean, error: Error): void
}
