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
