/** @internal A relay, as a connection calls it in place of its handlers. */
export interface RelaySide {
  /** Takes bytes that were in flight to `data` when the relay began; valid until this returns. */
  data(chunk: Buffer): void
  /** Returns true if the relay has handled the timeout. */
  timeout(): boolean
  /** Called when `destroy()` or `reset()` was called. */
  destroyed(reset: boolean): void
  /** Called right before the connection's `close` handler. */
  closed(destroyed: boolean, error: Error | undefined): void
}
