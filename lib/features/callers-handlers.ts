import { AsyncResource } from 'node:async_hooks'
import { type HandlersOf, handlerNames } from '../options/handlers.js'

/**
 * Handlers that run in the async context of the code that opened the connection, as those of `net.connect()` do: they
 * see the values that an AsyncLocalStorage had there. They replace the user's own, which are looked up at each call.
 */
class CallersHandlers {
  constructor(
    private readonly scope: AsyncResource,
    private readonly own: HandlersOf<never>,
  ) {}

  static {
    for (const name of handlerNames) {
      const run = function (this: CallersHandlers, ...args: unknown[]): unknown {
        return this.scope.runInAsyncScope(this.own[name] as (...given: unknown[]) => unknown, this.own, ...args)
      }
      // A missing handler must read as undefined.
      const get = function (this: CallersHandlers) {
        return this.own[name] === undefined ? undefined : run
      }
      Object.defineProperty(CallersHandlers.prototype, name, { get })
    }
  }
}

/** @internal Returns the same handlers, bound to the current async context. */
export function inCallersContext<C>(handlers: HandlersOf<C>): HandlersOf<C> {
  return new CallersHandlers(new AsyncResource('c1m.connect'), handlers) as HandlersOf<C>
}
