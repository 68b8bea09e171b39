import { constants } from 'node:os'
import { join } from 'node:path'
import { C1mError, systemError } from '../base/errors.js'
import type { Addon, Failure, IoThreadConfig, NativeIoThread } from './binding-types.js'

function load(): Addon {
  if (process.versions.bun !== undefined) throw unsupported('Bun')
  if (process.platform !== 'linux') throw unsupported(process.platform)
  // The function finds a local build, or the prebuild for this platform.
  const nodeGypBuild = require('node-gyp-build') as (root: string) => Addon
  const root = join(__dirname, '../..')
  try {
    return nodeGypBuild(root)
  } catch (cause) {
    throw Object.assign(
      new C1mError(
        'ERR_C1M_UNSUPPORTED_PLATFORM',
        `c1m has no addon for ${process.platform} on ${process.arch} with this libc in ${root}: it is compiled when the package is installed with its scripts allowed, or by "npm rebuild c1m", for which a C++20 compiler, make and Python 3 are needed`,
      ),
      { cause },
    )
  }
}

function unsupported(what: string): C1mError {
  return new C1mError('ERR_C1M_UNSUPPORTED_PLATFORM', `c1m needs Node.js on Linux; this is ${what}`)
}

const addon = load()

/**
 * The system calls that `ownFileTable` needs, and the errors with which a kernel before Linux 5.9, or a sandbox,
 * refuses them.
 */
const FILE_TABLE_CALLS = ['close_range', 'pidfd_open', 'pidfd_getfd']
const LACKING: readonly number[] = [constants.errno.ENOSYS, constants.errno.EINVAL, constants.errno.EPERM]

/** Starts an I/O thread. Throws the system's error if it refuses. */
export function startIoThread(config: IoThreadConfig): NativeIoThread {
  try {
    return new addon.IoThread(config)
  } catch (error) {
    const { errno, syscall } = error as Partial<Failure>
    if (errno === undefined || syscall === undefined) throw error
    if (FILE_TABLE_CALLS.includes(syscall) && LACKING.includes(errno)) {
      const { code } = systemError(errno, syscall)
      throw new C1mError('ERR_C1M_UNSUPPORTED_OPTION', `"ownFileTable" is not possible here: ${syscall} ${code}`)
    }
    throw systemError(errno, syscall)
  }
}
/** The addon's record layout, which a test compares with `layout.ts`. */
export const nativeLayout = addon.layout
/** Opens a listening socket, whose descriptor belongs to the caller. */
export const openListeningSocket = addon.openListeningSocket
/** Makes a connected socket ready for `adopt()`: its descriptor, or another one of the same socket. */
export const takeSocket = addon.takeSocket
/** Sets the number of descriptors that this process may have open. Throws the system's error if it refuses. */
export function setDescriptorLimit(count: number): void {
  const failure = addon.setDescriptorLimit(count)
  if (failure !== undefined) throw systemError(failure.errno, failure.syscall)
}
/** Writes to a connection of any thread of the process; copies the bytes. Returns false if that thread takes none. */
export const loopWriter = addon.writeRemote
/** Raises an uncaught exception immediately, for a handler that threw; returns if the process survives it. */
export const reportException = addon.reportException
