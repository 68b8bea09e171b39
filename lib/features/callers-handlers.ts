import { AsyncResource } from 'node:async_hooks'
import { type HandlersOf, handlerNames } from '../options/handlers.js'

/**
 * Handlers that run in the async context of whoever made the connection, as those of `net.connect()` do: what
 * an AsyncLocalStorage held there, they find. In the place of the user's own, which are looked up at each call.
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
      // One that isn't there must not seem to be.
      const get = function (this: CallersHandlers) {
        return this.own[name] === undefined ? undefined : run
      }
      Object.defineProperty(CallersHandlers.prototype, name, { get })
    }
  }
}

/** @internal The same handlers, in the async context that there is now. */
export function inCallersContext<C>(handlers: HandlersOf<C>): HandlersOf<C> {
  return new CallersHandlers(new AsyncResource('c1m.connect'), handlers) as HandlersOf<C>
}
