/**
 * Who waits for a signal: one listener of ours for all of them, as a signal may end thousands of operations, and Node warns
 * of a leak from eleven listeners on.
 */
const waiting = new WeakMap<AbortSignal, Set<() => void>>()

/** @internal Why it was aborted. Signals that other libraries make may lack a reason, and `throwIfAborted()`. */
export function reasonOf(signal: AbortSignal): unknown {
  return signal.reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : signal.reason
}

/** @internal Throws the reason if it is aborted. */
export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw reasonOf(signal)
}

/** @internal Calls back once if the signal is aborted from now on; what it answers takes that back. */
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
  // For the others, too, the signal is aborted. An event's listener that throws is an uncaught exception.
  if (errors.length > 0) throw errors[0]
}
