import { Socket, type SocketConstructorOpts } from 'node:net'
import { asError, C1mError, systemError } from '../base/errors.js'
import type { Place } from '../io/io-port.js'
import type { Closed, DetachedSocket, Failure } from '../native/binding-types.js'

/** @internal What a connection hears of its leaving, before its last event. */
export interface DetachOwner {
  left(detachment: Detachment): void
  stays(): void
}

/** Sockets that are ended a turn after they were handed over. */
const ending = new WeakSet<Socket>()

/** @internal Whether `end()` is called on it in a moment: nobody else may take it over before. */
export function isEnding(socket: Socket): boolean {
  return ending.has(socket)
}

/** @internal Asks the I/O thread to let a connection go. */
export function detach(place: Place, allowHalfOpen: boolean, owner: DetachOwner): Promise<Socket> {
  const { io, slot, generation } = place
  return new Promise((resolve, reject) => {
    const asked = io.request<DetachedSocket | Failure | Closed>((batch, callback) => {
      const take = (answer: DetachedSocket | Failure | Closed) => {
        if ('fd' in answer) {
          owner.left(new Detachment(answer, allowHalfOpen, resolve, reject))
        } else {
          owner.stays()
          reject('errno' in answer ? systemError(answer.errno, answer.syscall) : cannotDetach())
        }
        callback(answer)
      }
      return io.native.detach(batch, take, slot, generation)
    })
    // It could not be asked, for want of stack or memory: the connection is here as before.
    asked.catch((error) => {
      owner.stays()
      reject(error)
    })
  })
}

/**
 * @internal A connection that has left, until its last event has come. The socket is made as soon as the I/O thread has
 * answered, so that the descriptor has an owner.
 */
export class Detachment {
  readonly #socket: Socket

  constructor(
    private readonly answer: DetachedSocket,
    allowHalfOpen: boolean,
    private readonly resolve: (socket: Socket) => void,
    private readonly reject: (error: Error) => void,
  ) {
    // `manualStart`, which Node's types don't have: nothing is read before somebody wants it, so that what has been read
    // already can go in front.
    const options: SocketConstructorOpts & { manualStart: boolean } = {
      fd: answer.fd,
      readable: true,
      writable: true,
      allowHalfOpen,
      manualStart: true,
    }
    this.#socket = new Socket(options)
  }

  /** It has been destroyed meanwhile. */
  drop(): void {
    this.#socket.destroy()
    this.reject(cannotDetach())
  }

  /** Hands the socket over, with what the connection held back to be read first, and ended if that was. */
  finish(held: readonly (Buffer | string)[], ended: boolean): void {
    try {
      this.#fill(held, ended)
      this.resolve(this.#socket)
    } catch (error) {
      // For want of memory. Part of the stream is lost, and so is the rest.
      this.#socket.destroy()
      this.reject(asError(error))
    }
  }

  #fill(held: readonly (Buffer | string)[], ended: boolean): void {
    const socket = this.#socket
    // Its end, the socket finds by itself: read(2) answers 0 again.
    const unread = Buffer.concat([...held.filter((event) => typeof event !== 'string'), this.answer.unread])
    if (unread.length > 0) socket.unshift(unread)
    if (this.answer.unsent.length === 0) {
      if (ended) socket.end()
    } else {
      // Sent when whoever waits for the socket has had it, and put a handler on `error`; in front of all that they write.
      socket.cork()
      socket.write(this.answer.unsent)
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
