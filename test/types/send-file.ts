import { type FileHandle, open } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import type { Connection, FileSource, SendFileOptions } from 'c1m'
import { holds, type Same } from './same.js'

// Compiled, and never run.

export async function sources(conn: Connection): Promise<void> {
  holds<Same<ReturnType<typeof conn.sendFile>, Promise<number>>>()
  holds<Same<FileSource, string | Buffer | URL | FileHandle | number>>()
  await conn.sendFile('path')
  await conn.sendFile(Buffer.from('path'))
  await conn.sendFile(pathToFileURL('/path'))
  await conn.sendFile(await open('path'))
  await conn.sendFile(3)
  // @ts-expect-error a stream is no file
  await conn.sendFile(process.stdin)
  // @ts-expect-error something has to be sent
  await conn.sendFile()
}

export async function options(conn: Connection): Promise<void> {
  const some: SendFileOptions = { start: 0, end: 1 << 20, signal: AbortSignal.timeout(1000) }
  await conn.sendFile('path', some)
  await conn.sendFile('path', {})
  // @ts-expect-error numbers only
  await conn.sendFile('path', { start: 1n })
  // @ts-expect-error no such option
  await conn.sendFile('path', { length: 1 })
}
