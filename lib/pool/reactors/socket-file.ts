import { lstatSync, unlinkSync } from 'node:fs'

/**
 * @internal The file of a Unix socket, by its device and inode, so that another file of the same name isn't removed. An
 * inode's number isn't given to another file while the socket is open, so the file must be removed before that is
 * closed. (unix(7))
 */
export class SocketFile {
  readonly #path: string
  readonly #identity: string | undefined

  /** Takes the file of a socket that has just been bound. An abstract name has no file. */
  constructor(path: string) {
    this.#path = path
    this.#identity = path.startsWith('\0') ? undefined : identify(path)
  }

  remove(): void {
    if (this.#identity === undefined || identify(this.#path) !== this.#identity) return
    try {
      unlinkSync(this.#path)
    } catch {
      // The file has been removed, or it may not be removed any more.
    }
  }
}

function identify(path: string): string | undefined {
  try {
    const { dev, ino } = lstatSync(path, { bigint: true })
    return `${dev} ${ino}`
  } catch {
    return undefined
  }
}
