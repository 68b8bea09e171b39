const hooks = new WeakMap<object, Set<() => void>>()

/**
 * @internal Calls `callback` once when the connection has closed, after its `close` handler; returns a function that
 * cancels that.
 */
export function onClosed(conn: object, callback: () => void): () => void {
  let callbacks = hooks.get(conn)
  if (callbacks === undefined) {
    callbacks = new Set()
    hooks.set(conn, callbacks)
  }
  callbacks.add(callback)
  return () => callbacks.delete(callback)
}

/** @internal True if the connection has close callbacks. */
export function hasCloseHooks(conn: object): boolean {
  return (hooks.get(conn)?.size ?? 0) > 0
}

/** @internal Runs the connection's close callbacks. */
export function runClosed(conn: object): void {
  const callbacks = hooks.get(conn)
  if (callbacks === undefined) return
  hooks.delete(conn)
  for (const callback of callbacks) callback()
}
