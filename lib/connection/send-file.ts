import type { FileHandle } from 'node:fs/promises'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { checkAborted, onAbort, reasonOf } from '../base/abort.js'
import { C1mError, invalidType, invalidValue, type SystemError, systemError } from '../base/errors.js'
import { Pending } from '../base/pending.js'
import { checkReadAllowed } from '../base/permission.js'
import { checkInteger, checkKeys, checkObject, checkSignal, isBytes, isUrl, keysOf } from '../base/validate.js'
import type { IoPort } from '../io/io-port.js'
import type { NativeIoThread } from '../native/binding-types.js'
import { OWN_ERROR_FILE_ABORTED, QUEUE_FILE_COST, QUEUE_MIN_COST } from '../native/layout.js'
import { closeError } from '../native/own-errors.js'

/** The max length of a path, including the null byte at its end. (limits.h) */
const PATH_MAX = 4096

/** The source of `conn.sendFile()`: a path, an open file, or its descriptor. */
export type FileSource = string | Buffer | URL | FileHandle | number

/** Options of `conn.sendFile()`. */
export interface SendFileOptions {
  /** The first byte to send. 0 to 2^53-1; beyond the end of the file nothing is sent. Default: 0. */
  start?: number | undefined
  /**
   * The byte before which to stop, as in `slice()`: `{ start: 0, end: 1024 }` is the first 1,024 bytes. From `start` to
   * 2^53-1; an end beyond the file's size at opening means that size. Default: that size.
   */
  end?: number | undefined
  /** Cancels the transfer: the promise rejects with `signal.reason`. */
  signal?: AbortSignal | undefined
}

const OPTIONS = keysOf<SendFileOptions>({ start: true, end: true, signal: true })

/** @internal A connection as the target of a file; `open` is false if it can't be written to. */
export interface FileTarget {
  readonly conn: { destroy(error: Error): boolean }
  readonly context: { readonly io: IoPort; readonly maxWriteQueue: number }
  readonly slot: number
  readonly generation: number
  readonly open: boolean
}

/**
 * The number of files that are queued on connections, or in flight to their queues. The I/O thread limits the whole
 * queue; but a handler may call `sendFile()` tens of thousands of times before the I/O thread sees the first.
 */
const pending = new WeakMap<object, Pending>()

/** @internal True if a file is in the connection's queue, or may be. */
export function hasFiles(conn: object): boolean {
  return pending.has(conn)
}

/**
 * @internal Resolves when no file is queued: all have been sent or have failed, or the connection has closed. Only one
 * caller may wait at a time.
 */
export async function filesDone(conn: object): Promise<void> {
  await pending.get(conn)?.none()
}

function begin(conn: object): Pending {
  const files = pending.get(conn) ?? new Pending()
  pending.set(conn, files)
  files.add()
  return files
}

function finish(conn: object, files: Pending): void {
  if (files.count === 1) pending.delete(conn)
  files.remove()
}

/** @internal Sends a file, see `Connection.sendFile`. */
export async function sendFile(to: FileTarget, source: FileSource, options?: SendFileOptions): Promise<number> {
  const from = checkSource(source)
  const given = checkObject('options', options)
  checkKeys('options', given, OPTIONS)
  const { start = 0, end, signal } = given
  checkInteger('start', start, 0, Number.MAX_SAFE_INTEGER)
  if (end !== undefined) checkInteger('end', end, start, Number.MAX_SAFE_INTEGER)
  checkSignal(signal)
  checkAborted(signal)
  if (from.path !== undefined) checkReadAllowed(from.path)
  if (!to.open) throw connectionClosed()
  const { conn, slot, generation } = to
  const { io, maxWriteQueue } = to.context
  const queued = pending.get(conn)?.count ?? 0
  if ((queued + 1) * QUEUE_FILE_COST > Math.max(maxWriteQueue, QUEUE_MIN_COST)) {
    const full = new C1mError(
      'ERR_C1M_WRITE_QUEUE_FULL',
      `${queued} files queued, with a maxWriteQueue of ${maxWriteQueue}`,
    )
    conn.destroy(full)
    throw full
  }
  const id = io.nextFileId()
  const abort = () =>
    void io.request<void>((batch, callback) => io.native.cancelFile(batch, callback, slot, generation, id))
  const forget = signal && onAbort(signal, abort)
  const spec = { ...from, slot, generation, id, start, end, maxWriteQueue }
  const files = begin(conn)
  const reply = await io
    .request<SendFileReply>((batch, callback) => io.native.sendFile(batch, callback, spec), { lasts: true })
    .finally(() => {
      finish(conn, files)
      forget?.()
    })
  if (typeof reply === 'number') return reply
  if ('closed' in reply) throw connectionClosed()
  if ('errno' in reply) throw fileError(reply.errno, reply.syscall, from.path)
  throw reply.own === OWN_ERROR_FILE_ABORTED ? reasonOf(signal as AbortSignal) : closeError(reply.own, 'sendfile')
}

const FILE_READ_ERRORS = ['EISDIR', 'EIO', 'EINVAL']

type SendFileReply = Parameters<Parameters<NativeIoThread['sendFile']>[1]>[0]

function checkSource(source: unknown): { readonly path?: string | Uint8Array; readonly fd?: number } {
  if (typeof source === 'number') return { fd: checkInteger('source', source, 0, 2 ** 31 - 1) }
  if (typeof source === 'string' || isBytes(source)) return { path: checkPath(source) }
  if (isUrl(source)) return { path: checkPath(pathOf(source)) }
  // FileHandle has no public constructor for `instanceof`. A closed one has the descriptor -1, which gives EBADF.
  const { fd } = Object(source) as { readonly fd?: unknown }
  if (typeof fd === 'number') return { fd: checkInteger('source.fd', fd, -1, 2 ** 31 - 1) }
  throw invalidType('source', 'a path, a file: URL, a FileHandle or a file descriptor', source)
}

function pathOf(url: URL): string {
  try {
    return fileURLToPath(url)
  } catch (error) {
    throw invalidValue(`"source" must be a file: URL of this host: ${(error as Error).message}`)
  }
}

/** Checks a path, whose bytes are copied immediately. */
function checkPath(path: string | Uint8Array): string | Uint8Array {
  if (path.length === 0) throw invalidValue('"source" must not be an empty path')
  if (typeof path === 'string' ? path.includes('\0') : path.includes(0)) {
    throw invalidValue('"source" must be a path without null bytes')
  }
  // A path that is too long is refused without being copied. (path_resolution(7))
  if (path.length >= PATH_MAX) throw systemError(constants.errno.ENAMETOOLONG, 'open')
  return path
}

function connectionClosed(): C1mError {
  return new C1mError('ERR_C1M_CONNECTION_CLOSED', 'The connection has closed or was ended')
}

function fileError(errno: number, syscall: string, path: string | Uint8Array | undefined): SystemError {
  const error = systemError(errno, syscall)
  // Errors of the connection have no path: reading a file has other error codes than reading a socket.
  const ofFile = syscall === 'read' ? FILE_READ_ERRORS.includes(error.code) : syscall !== 'write'
  if (path === undefined || !ofFile) return error
  const name = Buffer.from(path as string).toString()
  error.message += ` '${name}'`
  return Object.assign(error, { path: name })
}
