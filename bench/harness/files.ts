import { writeFileSync } from 'node:fs'

/** Writes a file of this size, whose bytes are then in the page cache. */
export function makeFile(path: string, bytes: number): void {
  const part = Buffer.alloc(2 ** 20, 'c1m')
  writeFileSync(path, '')
  for (let at = 0; at < bytes; at += part.length) {
    writeFileSync(path, part.subarray(0, bytes - at), { flag: 'a' })
  }
}
