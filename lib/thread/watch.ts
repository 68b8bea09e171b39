import { invalidType, invalidValue, notMade, systemErrorOn } from '../base/errors.js'
import { checkBoolean, checkInteger, checkKeys, checkObject, keysOf } from '../base/validate.js'
import type { NativeIoThread } from '../native/binding-types.js'
import { WATCH_ERROR, WATCH_HANGUP, WATCH_PRIORITY, WATCH_READABLE, WATCH_WRITABLE } from '../native/layout.js'

/** The events of a descriptor to report; at least one of them. Each is `false` by default. */
export interface WatchInterest {
  /** There is something to read, or the other end has shut down its writing half. (EPOLLIN, EPOLLRDHUP) */
  readable?: boolean | undefined
  /** There is room to write. (EPOLLOUT) */
  writable?: boolean | undefined
  /** An exceptional condition: a GPIO's edge, a pressure stall, a TCP socket's urgent byte. (EPOLLPRI) */
  priority?: boolean | undefined
}

/** The readiness of a descriptor when the kernel was asked. */
export interface WatchEvents {
  readonly readable: boolean
  readonly writable: boolean
  readonly priority: boolean
  /** The other end has closed; there may still be something to read. (EPOLLHUP, EPOLLRDHUP) */
  readonly hangup: boolean
  /** An error waits on the descriptor, or the reading end of a pipe has closed. (EPOLLERR) */
  readonly error: boolean
}

/** Called on the reactor's thread, like the handlers of connections. */
export type WatchHandler = (events: WatchEvents, watch: Watch) => void

let makeWatch: (fd: number, unwatch: (watch: Watch) => void) => Watch

/**
 * A descriptor that is being watched, as `reactor.watch()` returns it. Keeps the process alive until `unwatch()`, as a
 * listener does, unless the reactor's `unref()` was called. `reactor.shutdown()` unwatches it.
 *
 * Unwatch a descriptor before you close it. The kernel would forget it as well, but only with the last descriptor of
 * the same file, for example in a child process; and this object would keep the process alive.
 *
 * @example
 * const watch = reactor.watch(fd, { readable: true }, onReadable)
 * watch.unwatch()
 * closeSync(fd)
 */
export class Watch {
  readonly #fd: number
  #unwatch: ((watch: Watch) => void) | undefined

  private constructor(fd: number, unwatch: (watch: Watch) => void) {
    if (unwatch === undefined) throw notMade('Watch', 'reactor.watch()')
    this.#fd = fd
    this.#unwatch = unwatch
  }

  static {
    makeWatch = (fd, unwatch) => new Watch(fd, unwatch)
  }

  /** The descriptor's number. */
  get fd(): number {
    return this.#fd
  }

  /** True while it is being watched: until `unwatch()`, or the reactor's `shutdown()`. */
  get active(): boolean {
    return this.#unwatch !== undefined
  }

  /**
   * Stops watching immediately: the handler isn't called any more when this returns, not even for events in flight, and
   * the descriptor may be closed, or watched again. A second call does nothing. (epoll_ctl(2) with EPOLL_CTL_DEL)
   */
  unwatch(): void {
    const unwatch = this.#unwatch
    this.#unwatch = undefined
    unwatch?.(this)
  }
}

const interestKeys = keysOf<WatchInterest>({ readable: true, writable: true, priority: true })

/** @internal Checks the arguments of `watch()`; returns the interest as bits. */
export function checkWatch(fd: unknown, interest: WatchInterest, handler: unknown): number {
  checkInteger('fd', fd, 0, 2 ** 31 - 1)
  if (interest === undefined) throw invalidType('interest', 'an object', interest)
  const given = checkObject('interest', interest)
  checkKeys('interest', given, interestKeys)
  const { readable = false, writable = false, priority = false } = given
  if (typeof handler !== 'function') throw invalidType('handler', 'a function', handler)
  let bits = 0
  if (checkBoolean('readable', readable)) bits |= WATCH_READABLE
  if (checkBoolean('writable', writable)) bits |= WATCH_WRITABLE
  if (checkBoolean('priority', priority)) bits |= WATCH_PRIORITY
  if (bits === 0) throw invalidValue('"interest" must have at least one of "readable", "writable" and "priority"')
  return bits
}

interface Watching {
  readonly watch: Watch
  readonly handler: WatchHandler
}

/** @internal The watched descriptors of one I/O thread. */
export class Watches {
  readonly #native: NativeIoThread
  readonly #owner: { ref(): void; unref(): void }
  readonly #byNumber = new Map<number, Watching>()
  /**
   * The latest watch of each descriptor. If a number was closed and opened again, the earlier watch gets no more
   * events.
   */
  readonly #byFd = new Map<number, Watch>()
  #nextNumber = 0

  constructor(native: NativeIoThread, owner: { ref(): void; unref(): void }) {
    this.#native = native
    this.#owner = owner
  }

  add(fd: number, interest: number, handler: WatchHandler): Watch {
    // Events carry the watch's number, and not the descriptor: one of an earlier watch can't reach a later one.
    const number = this.#nextNumber
    const failure = this.#native.watch(fd, interest, number)
    if (failure !== undefined) throw systemErrorOn(failure.errno, failure.syscall, `: descriptor ${fd}`)
    this.#nextNumber = (number + 1) >>> 0
    const watch = makeWatch(fd, (gone) => {
      this.#byNumber.delete(number)
      if (this.#byFd.get(fd) === gone) {
        this.#byFd.delete(fd)
        this.#native.unwatch(fd)
      }
      this.#owner.unref()
    })
    this.#byNumber.set(number, { watch, handler })
    this.#byFd.set(fd, watch)
    this.#owner.ref()
    return watch
  }

  tell(number: number, bits: number): void {
    const watching = this.#byNumber.get(number)
    if (watching === undefined) return
    const { handler, watch } = watching
    const events: WatchEvents = {
      readable: (bits & WATCH_READABLE) !== 0,
      writable: (bits & WATCH_WRITABLE) !== 0,
      priority: (bits & WATCH_PRIORITY) !== 0,
      hangup: (bits & WATCH_HANGUP) !== 0,
      error: (bits & WATCH_ERROR) !== 0,
    }
    handler(events, watch)
  }

  clear(): void {
    for (const { watch } of [...this.#byNumber.values()]) watch.unwatch()
  }
}
