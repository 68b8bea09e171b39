/**
 * The operations that wait for a signal. The library adds one listener for all of them, because a signal may end
 * thousands of operations, and Node warns of a leak from eleven listeners on.
 */
const waiting = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * @internal Returns the reason of an aborted signal. Signals that other libraries make may lack a reason, and
 * `throwIfAborted()`.
 */
export function reasonOf(signal: AbortSignal): unknown {
  return signal.reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : signal.reason
}

/** @internal Throws the signal's reason if it is aborted. */
export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw reasonOf(signal)
}

/** @internal Calls `callback` once when the signal is aborted from now on; returns a function that cancels that. */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let callbacks = waiting.get(signal)
  if (callbacks === undefined) {
    callbacks = new Set()
    waiting.set(signal, callbacks)
    signal.addEventListener('abort', callAll, { once: true })
  }
  callbacks.add(callback)
  return () => {
    if (!callbacks.delete(callback) || callbacks.size > 0) return
    waiting.delete(signal)
    signal.removeEventListener('abort', callAll)
  }
}

function callAll(event: Event): void {
  const signal = event.target as AbortSignal
  const callbacks = waiting.get(signal) ?? []
  waiting.delete(signal)
  const errors: unknown[] = []
  for (const callback of callbacks) {
    try {
      callback()
    } catch (error) {
      errors.push(error)
    }
  }
  // The other callbacks must see the abort, too. An event's listener that throws is an uncaught exception.
  if (errors.length > 0) throw errors[0]
}
