import type { Bound, ConnectSpec, Failure, Full, ListenSpec, NativeIoThread } from './binding.js'
import type { CommandWriter } from './command-writer.js'
import type { Connection } from './connection.js'
import type { ConnectionContext } from './connection-context.js'
import type { Contexts } from './contexts.js'
import type { IoThreadOwner } from './io-thread-owner.js'
import { Pending } from './pending.js'

/** What an I/O thread is asked for, and answers. */
export abstract class IoThreadRequests {
  abstract readonly commands: CommandWriter
  abstract readonly native: NativeIoThread
  abstract readonly contexts: Contexts
  protected abstract readonly owner: IoThreadOwner
  readonly requests = new Pending()

  /**
   * Asks the I/O thread. The process stays alive until it has answered; if `lasts`, as a peer or a disk decides when, only
   * while the reactor keeps it.
   */
  request<A>(submit: (batch: number, callback: (answer: A) => void) => void, { lasts = false } = {}): Promise<A> {
    return new Promise((resolve) => {
      if (lasts) this.owner.retain()
      else this.owner.asked()
      this.requests.add()
      this.commands.request((batch) =>
        submit(batch, (answer) => {
          if (lasts) this.owner.release()
          else this.owner.answered()
          resolve(answer)
          this.requests.remove()
        }),
      )
    })
  }

  /** Opens a listener. `bound` is called before its first connection opens. */
  async listen(spec: ListenSpec, context: ConnectionContext, bound: (answer: Bound) => void): Promise<Bound | Failure> {
    const entry = this.contexts.add(spec.connections.context, context)
    return this.request<Bound | Failure>((batch, callback) =>
      this.native.listen(
        batch,
        (answer) => {
          if ('errno' in answer) this.contexts.acceptedInAll(spec.connections.context, entry, 0)
          else bound(answer)
          callback(answer)
        },
        spec,
      ),
    )
  }

  /**
   * Opens a connection: calls `opened`, before the handler of that name and any other, or `failed`. Nobody waits for an
   * answer here: unlike a request's, an attempt's end is years away for a computer.
   */
  connect(
    spec: ConnectSpec,
    context: ConnectionContext,
    opened: (conn: Connection<unknown>) => void,
    failed: (failure: Failure | Full) => void,
  ): void {
    const entry = this.contexts.add(spec.connection.context, context)
    entry.accepted = 1
    entry.onOpen = opened
    this.requests.add()
    this.commands.request((batch) =>
      this.native.connect(
        batch,
        (failure) => {
          if (failure !== undefined) {
            this.contexts.acceptedInAll(spec.connection.context, entry, 0)
            failed(failure)
          }
          this.requests.remove()
        },
        spec,
      ),
    )
  }

  /** Gives up an attempt to connect. */
  cancelConnect(context: number): void {
    void this.request<void>((batch, callback) => this.native.cancelConnect(batch, callback, context))
  }

  /** Resolves when its socket is closed and the last connection that it accepted has opened. */
  closeListener(index: number): Promise<void> {
    const entry = this.contexts.get(index)
    if (entry === undefined) return Promise.resolve()
    return new Promise((resolve) => {
      entry.onClosed = resolve
      void this.request<number>((batch, callback) =>
        this.native.closeListener(
          batch,
          (accepted) => {
            this.contexts.acceptedInAll(index, entry, accepted)
            callback(accepted)
          },
          index,
        ),
      )
    })
  }
}
