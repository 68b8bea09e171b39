import type { AsyncResource } from 'node:async_hooks'
import { Pending } from '../base/pending.js'
import { needStack } from '../base/stack.js'
import type { Connection, ConnectionContext } from '../connection/connection.js'
import type { CommandWriter } from '../io/command-writer.js'
import { Counted, MAX_REQUESTS } from '../io/in-flight.js'
import type { Submit } from '../io/io-port.js'
import type { Bound, ConnectSpec, Failure, Full, ListenSpec, NativeIoThread } from '../native/binding-types.js'
import type { Contexts } from './contexts.js'
import type { IoThreadOwner } from './io-thread-owner.js'

/** The requests to an I/O thread, and their replies. */
export abstract class IoThreadRequests {
  abstract readonly commands: CommandWriter
  abstract readonly native: NativeIoThread
  abstract readonly contexts: Contexts
  protected abstract readonly owner: IoThreadOwner

  /** The async context of the code that made the reactor. */
  get scope(): AsyncResource {
    return this.owner.scope
  }
  readonly requests = new Pending()
  /**
   * The slots of connections that are being moved here: a request about one waits until JavaScript has had its events.
   */
  readonly expected = new Set<number>()
  #attempts = 0

  /**
   * Runs an operation that takes several requests: a shutdown waits for the end of all of them, not only for requests
   * in progress.
   */
  async operation<A>(run: () => Promise<A>): Promise<A> {
    const { operations } = this.owner
    operations.add()
    try {
      return await run()
    } finally {
      operations.remove()
    }
  }

  /**
   * Sends a request to the I/O thread. The process stays alive until the reply; with `lasts`, for a request whose end
   * depends on a peer or a disk, only while the reactor keeps it alive.
   */
  request<A>(submit: Submit<A>, { lasts = false } = {}): Promise<A> {
    return new Promise((resolve) => this.ask(submit, resolve, lasts))
  }

  /** Sends a request without a promise. If it throws, for lack of stack or memory, nothing has been sent. */
  protected ask<A>(submit: Submit<A>, replied: (reply: A) => void, lasts = false): void {
    needStack()
    this.commands.makeReady()
    this.#began(lasts)
    try {
      this.commands.request((batch) =>
        submit(batch, (reply) => {
          try {
            replied(reply)
          } finally {
            this.#ended(lasts)
          }
        }),
      )
    } catch (error) {
      this.#ended(lasts)
      throw error
    }
  }

  #began(lasts: boolean): void {
    if (lasts) this.owner.ref()
    else this.owner.asked()
    this.requests.add()
  }

  #ended(lasts: boolean): void {
    if (lasts) this.owner.unref()
    else this.owner.replied()
    this.requests.remove()
  }

  /**
   * Sends a request for which the I/O thread waits for nothing, and whose reply has no order with events. It counts as
   * in flight, with `bytes`. Call `checkInFlight()` before.
   */
  count<A>(submit: Submit<A>, replied: (reply: A) => void, bytes = 0): Counted {
    const counted = new Counted(this.owner.inFlight)
    this.ask<A>((batch, callback) => {
      const place = submit(batch, (reply) => {
        counted.end()
        callback(reply)
      })
      counted.add(1, bytes)
      return place
    }, replied)
    return counted
  }

  /** Throws ERR_C1M_TOO_MUCH_IN_FLIGHT beyond the hard limit. */
  checkInFlight(): void {
    this.owner.inFlight.check()
  }

  /** Calls `passed` when all earlier commands have been executed, and all earlier attempts to connect have begun. */
  protected readonly fence = (passed: () => void): void => {
    void this.request<void>((batch, callback) =>
      this.native.fence(batch, () => {
        callback()
        passed()
      }),
    )
  }

  /** Opens a listener. `bound` is called before its first connection opens. */
  async listen(spec: ListenSpec, context: ConnectionContext, bound: (reply: Bound) => void): Promise<Bound | Failure> {
    needStack()
    const index = spec.connections.context
    const entry = this.contexts.add(index, context)
    return new Promise((resolve) => {
      try {
        this.ask<Bound | Failure>(
          (batch, callback) => this.native.listen(batch, callback, spec),
          (reply) => {
            if ('errno' in reply) {
              // The listener may be open nevertheless, if memory was lacking for the reply.
              void this.closeListener(index).finally(() => resolve(reply))
              return
            }
            bound(reply)
            resolve(reply)
          },
        )
      } catch (error) {
        this.contexts.acceptedInAll(index, entry, 0)
        throw error
      }
    })
  }

  /**
   * Opens a connection: calls `opened`, before the handler of that name and any other, or `failed`. There is no promise
   * for the reply: unlike a request, an attempt may take very long.
   */
  connect(
    spec: ConnectSpec,
    context: ConnectionContext,
    opened: (conn: Connection<unknown>) => void,
    failed: (failure: Failure | Full) => void,
  ): void {
    needStack()
    const index = spec.connection.context
    const entry = this.contexts.add(index, context)
    entry.accepted = 1
    entry.onOpen = opened
    this.requests.add()
    if (++this.#attempts % MAX_REQUESTS === 0) this.owner.inFlight.behind(this.fence)
    try {
      this.commands.request((batch) =>
        this.native.connect(
          batch,
          (failure) => {
            this.requests.remove()
            if (failure === undefined) return
            this.contexts.acceptedInAll(index, entry, 0)
            failed(failure)
          },
          spec,
        ),
      )
    } catch (error) {
      this.requests.remove()
      this.contexts.acceptedInAll(index, entry, 0)
      throw error
    }
  }

  /** Cancels an attempt to connect. */
  cancelConnect(context: number): void {
    void this.request<void>((batch, callback) => this.native.cancelConnect(batch, callback, context))
  }

  /** Resolves when the listener's socket is closed and the last connection that it accepted has opened. */
  closeListener(index: number): Promise<void> {
    const entry = this.contexts.get(index)
    if (entry === undefined || entry.closed) return Promise.resolve()
    return new Promise((resolve) => {
      entry.onClosed = resolve
      this.ask<number>(
        (batch, callback) => this.native.closeListener(batch, callback, index),
        (accepted) => this.contexts.acceptedInAll(index, entry, accepted),
      )
    })
  }
}
