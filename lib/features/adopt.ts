import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { invalidType, invalidValue, reactorFull, systemError } from '../base/errors.js'
import { needMoreStack } from '../base/stack.js'
import { checkInteger, checkKeys, checkObject, isBytes, keysOf } from '../base/validate.js'
import type { Connection, ConnectionContext, Handlers } from '../connection/connection.js'
import { isEnding } from '../connection/detach.js'
import { takeSocket } from '../native/binding.js'
import { type ConnectionOptions, checkConnectionOptions, connectionOptionKeys } from '../options/connection-options.js'
import { checkHandlers, containErrors } from '../options/handlers.js'
import type { IoThread } from '../thread/io-thread.js'
import { QuietSocket } from './quiet-socket.js'

/** Options for a socket that is taken over. */
export interface AdoptOptions<T = undefined> extends ConnectionOptions {
  /**
   * Bytes that were read from the socket already, as in the `upgrade` event of `http`: the first `data`. Default: none.
   */
  head?: Uint8Array | undefined
  /** The value of `conn.data` from the start, in `open` already. Default: `undefined`. */
  data?: T | undefined
}

const adoptOptionKeys = [
  ...connectionOptionKeys,
  ...keysOf<Omit<AdoptOptions, keyof ConnectionOptions>>({ head: true, data: true }),
]

interface CheckedAdopt<T = unknown> extends ReturnType<typeof checkConnectionOptions> {
  readonly head: Uint8Array | undefined
  readonly data: T | undefined
}

function checkAdoptOptions<T>(options: AdoptOptions<T>): CheckedAdopt<T> {
  const given = checkObject('options', options, isBytes(options) ? '{ head }' : undefined)
  checkKeys('options', given, adoptOptionKeys)
  const { head, data } = given
  if (head !== undefined && !isBytes(head)) throw invalidType('head', 'a Buffer or a Uint8Array', head)
  return { ...checkConnectionOptions(given), head, data }
}

/** The part of libuv's handle that is used. Node documents `_handle` in passing only. */
type Handled = Socket & { readonly _handle?: { readonly fd?: number; readonly constructor: { readonly name: string } } }

/** Throws unless the source can be adopted. Called at any time before that. */
function checkAdoptable(source: unknown): asserts source is Socket | number {
  if (typeof source === 'number') {
    checkInteger('socket', source, 0, 2 ** 31 - 1)
    return
  }
  if (!(source instanceof Socket)) throw invalidType('socket', 'a net.Socket or a descriptor', source)
  const refusal = refusalOf(source)
  if (refusal !== undefined) throw invalidValue(`"socket" ${refusal}`)
}

function refusalOf(socket: Socket): string | undefined {
  if ('encrypted' in socket) return 'is a TLS socket, whose bytes only its TLSSocket can read'
  if (socket.connecting) return 'is not connected yet'
  if (socket.destroyed) return 'has been destroyed'
  if (socket.writableEnded || isEnding(socket)) return 'has been ended'
  if (socket.readableEncoding !== null) return 'decodes what it reads (setEncoding), and may hold half a character'
  const handle = (socket as Handled)._handle
  const kind = handle?.constructor.name
  if (kind !== 'TCP' && kind !== 'Pipe')
    return `is not a TCP or Unix socket, but a ${kind ?? 'socket without a handle'}`
  return undefined
}

/**
 * Calls `take` when the kernel has all that was written to the socket: usually immediately. From the call on the socket
 * hands out no data that it reads, and a FIN of its peer doesn't end it. If `take` fails, the socket continues as
 * before.
 */
async function quietly<A>(socket: Socket, take: (quiet: QuietSocket) => Promise<A>): Promise<A> {
  const quiet = new QuietSocket(socket)
  try {
    while (socket.writableCorked > 0) socket.uncork()
    while (socket.writableLength > 0) {
      await flushed(socket)
      checkAdoptable(socket)
    }
    return await take(quiet)
  } catch (error) {
    quiet.giveBack()
    throw error
  }
}

/** Resolves when the socket's writes have been flushed; rejects if the socket closes before. */
function flushed(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = () => reject(invalidValue('"socket" closed before all that had been written to it was sent'))
    socket.once('close', closed)
    socket.write('', (error) => {
      // An error is followed by `close`, which says more than that a stream was destroyed.
      if (error) return
      socket.off('close', closed)
      resolve()
    })
  })
}

/**
 * Takes the descriptor, and the bytes that it has read, out of a socket; nothing of libuv's is left behind.
 * Throws the system's error if that is impossible, and then nothing has happened.
 */
function takeOver(source: QuietSocket | number, head: Uint8Array | undefined): { fd: number; unread: Uint8Array } {
  const own = typeof source === 'number'
  const descriptor = own ? source : ((source.socket as Handled)._handle?.fd ?? -1)
  const taken = takeSocket(descriptor, !own)
  if (typeof taken !== 'number') throw systemError(taken.errno, taken.syscall)
  if (own) return { fd: taken, unread: head ?? Buffer.alloc(0) }
  const chunks = source.take()
  let unread: Buffer
  try {
    unread = Buffer.concat(head === undefined ? chunks : [head, ...chunks])
  } catch (error) {
    // The duplicate has no other owner, and without the bytes that were read the stream can't continue.
    closeSync(taken)
    source.socket.destroy()
    throw error
  }
  source.socket.setTimeout(0)
  // This is close(2) without shutdown(2): the duplicate keeps the connection. The old socket emits nothing more but its
  // close.
  source.socket.destroy()
  return { fd: taken, unread }
}

/** @internal The part of the reactor that an adopter needs. */
export interface AdopterOwner {
  /** Throws if there is no room for another connection. */
  checkRoom(): void
  place(): IoThread
  newContext(): number
}

interface SharedContext {
  readonly index: number
  readonly context: ConnectionContext
}

/**
 * @internal Takes sockets over. Those with the same handlers and equal options share a context, as the connections of a
 * listener do: then each costs no more memory than an accepted connection.
 */
export class Adopter {
  /** Sockets in flight to the I/O thread, which are in no table. A shutdown waits for them. */
  readonly adopting = new Set<Promise<unknown>>()
  readonly #owner: AdopterOwner
  readonly #shared = new WeakMap<Handlers<unknown>, Map<string, SharedContext>>()
  readonly #forget = new Map<number, () => void>()

  constructor(owner: AdopterOwner) {
    this.#owner = owner
  }

  /** Adopts a descriptor that the reactor owns from here on: it is closed if it is refused. */
  async adoptOwned<T>(fd: number, handlers: Handlers<T>, options: AdoptOptions<T>): Promise<Connection<T>> {
    let taken = false
    try {
      return await this.adopt(fd, handlers, options, () => {
        taken = true
      })
    } catch (error) {
      if (!taken) closeSync(fd)
      throw error
    }
  }

  /** Adopts a socket; `onTaken` is called as soon as the source no longer belongs to its owner. */
  async adopt<T>(
    source: Duplex | number,
    handlers: Handlers<T>,
    options: AdoptOptions<T>,
    onTaken?: () => void,
  ): Promise<Connection<T>> {
    const checked = checkAdoptOptions(options)
    checkHandlers(handlers)
    checkAdoptable(source)
    this.#owner.checkRoom()
    // These steps are synchronous: between two of them the socket would have no owner.
    const adoptNow = (from: QuietSocket | number) => {
      needMoreStack()
      this.#owner.checkRoom()
      const io = this.#owner.place()
      const taken = takeOver(from, checked.head)
      onTaken?.()
      // The request may fail for lack of memory: then no other code closes the descriptor.
      const adoption = this.#request(io, taken, handlers, checked).catch((error) => {
        closeSync(taken.fd)
        throw error
      })
      this.adopting.add(adoption)
      return adoption.finally(() => this.adopting.delete(adoption))
    }
    const reply = typeof source === 'number' ? await adoptNow(source) : await quietly(source, adoptNow)
    if ('errno' in reply) throw systemError(reply.errno, reply.syscall)
    if ('full' in reply) throw reactorFull()
    return reply as Connection<T>
  }

  async #request<T>(
    io: IoThread,
    taken: { fd: number; unread: Uint8Array },
    handlers: Handlers<T>,
    checked: CheckedAdopt<T>,
  ) {
    const paused = handlers.data === undefined
    const settings = { ...checked.settings, paused }
    const context = { ...checked.context, paused }
    const contained = containErrors(handlers) as Handlers<unknown>
    const shared = this.#context(contained, { ...checked, settings, context }, io)
    return io.adopt({ ...taken, connection: { ...settings, context: shared.index } }, shared.context, checked.data)
  }

  /** Forgets a context that has no connection left; its number is used again from now on. */
  contextGone(index: number): void {
    this.#forget.get(index)?.()
    this.#forget.delete(index)
  }

  #context(handlers: Handlers<unknown>, { settings, context }: CheckedAdopt, io: IoThread): SharedContext {
    const all = this.#shared.get(handlers) ?? new Map<string, SharedContext>()
    this.#shared.set(handlers, all)
    const key = JSON.stringify([io.index, settings, context])
    let shared = all.get(key)
    if (shared === undefined) {
      shared = {
        index: this.#owner.newContext(),
        context: { ...context, io, listener: undefined, handlers, newData: undefined },
      }
      all.set(key, shared)
      this.#forget.set(shared.index, () => all.delete(key))
    }
    return shared
  }
}
