import { Socket, type SocketConstructorOpts } from 'node:net'
import { asError, C1mError, systemError } from '../base/errors.js'
import type { Place } from '../io/io-port.js'
import type { Closed, DetachedSocket, Failure } from '../native/binding-types.js'

/** @internal The callbacks for a connection that is being detached, before its last event. */
export interface DetachOwner {
  left(detachment: Detachment): void
  stays(): void
}

/** Sockets on which `end()` is called a turn after they were handed over. */
const ending = new WeakSet<Socket>()

/** @internal True if `end()` is about to be called on the socket: no other code may take it over before. */
export function isEnding(socket: Socket): boolean {
  return ending.has(socket)
}

/** @internal Requests that the I/O thread hands out a connection. */
export function detach(place: Place, allowHalfOpen: boolean, owner: DetachOwner): Promise<Socket> {
  const { io, slot, generation } = place
  return new Promise((resolve, reject) => {
    const asked = io.request<DetachedSocket | Failure | Closed>((batch, callback) => {
      const take = (reply: DetachedSocket | Failure | Closed) => {
        if ('fd' in reply) {
          owner.left(new Detachment(reply, allowHalfOpen, resolve, reject))
        } else {
          owner.stays()
          reject('errno' in reply ? systemError(reply.errno, reply.syscall) : cannotDetach())
        }
        callback(reply)
      }
      return io.native.detach(batch, take, slot, generation)
    })
    // The request failed for lack of stack or memory: the connection is here as before.
    asked.catch((error) => {
      owner.stays()
      reject(error)
    })
  })
}

/**
 * @internal A connection that has left, until its last event has come. The socket is made as soon as the I/O thread has
 * replied, so that the descriptor has an owner.
 */
export class Detachment {
  readonly #socket: Socket

  constructor(
    private readonly reply: DetachedSocket,
    allowHalfOpen: boolean,
    private readonly resolve: (socket: Socket) => void,
    private readonly reject: (error: Error) => void,
  ) {
    // `manualStart`, which Node's types don't have: nothing is read before a consumer wants it, so that bytes that have
    // been read already can be put in front.
    const options: SocketConstructorOpts & { manualStart: boolean } = {
      fd: reply.fd,
      readable: true,
      writable: true,
      allowHalfOpen,
      manualStart: true,
    }
    this.#socket = new Socket(options)
  }

  /** Drops the socket of a connection that has been destroyed meanwhile. */
  drop(): void {
    this.#socket.destroy()
    this.reject(cannotDetach())
  }

  /** Hands the socket over, with the buffered events to be read first, and ended if the connection was ended. */
  finish(buffered: readonly (Buffer | string)[], ended: boolean): void {
    try {
      this.#fill(buffered, ended)
      this.resolve(this.#socket)
    } catch (error) {
      // There is no memory. Part of the stream is lost, so the socket is destroyed.
      this.#socket.destroy()
      this.reject(asError(error))
    }
  }

  #fill(buffered: readonly (Buffer | string)[], ended: boolean): void {
    const socket = this.#socket
    // The socket notices the end of the stream on its own: read(2) returns 0 again.
    const unread = Buffer.concat([...buffered.filter((event) => typeof event !== 'string'), this.reply.unread])
    if (unread.length > 0) socket.unshift(unread)
    if (this.reply.unsent.length === 0) {
      if (ended) socket.end()
    } else {
      // The unsent bytes are sent after the caller has got the socket and added an `error` listener, and before all
      // that it writes.
      socket.cork()
      socket.write(this.reply.unsent)
      if (ended) ending.add(socket)
      setImmediate(() => {
        socket.uncork()
        if (ended) socket.end()
      })
    }
  }
}

/** @internal */
export function cannotDetach(): C1mError {
  return new C1mError('ERR_C1M_CONNECTION_CLOSED', 'The connection has closed, or is being detached')
}
