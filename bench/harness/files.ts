import { writeFileSync } from 'node:fs'

/** A file of so many bytes; they are in the page cache when it has been written. */
export function makeFile(path: string, bytes: number): void {
  const part = Buffer.alloc(2 ** 20, 'c1m')
  writeFileSync(path, '')
  for (let at = 0; at < bytes; at += part.length) {
    writeFileSync(path, part.subarray(0, bytes - at), { flag: 'a' })
  }
}
