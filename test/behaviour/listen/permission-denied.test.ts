import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { t as tap, test } from 'tap'
import { startChild } from '../../fixtures/child.js'
import { kernelSetting } from '../../fixtures/host.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

// Each test mostly waits for a process to start.
tap.jobs = 2

test('a directory without permission rejects with EACCES', async (t) => {
  const directory = temporaryDirectory(t)
  // As root, the child runs as another user, who isn't the owner.
  chmodSync(directory, process.getuid?.() === 0 ? 0o755 : 0o500)
  const path = join(directory, 'socket')
  const child = startChild(t, 'listen-error', { args: [JSON.stringify({ path })] })
  t.match(await child.next(), { code: 'EACCES', errno: -13, syscall: 'listen', address: path })
  await child.untilExit()
})

const firstPort = Number(kernelSetting('net/ipv4/ip_unprivileged_port_start') ?? 1024)

test('listen() at a privileged port rejects with EACCES', {
  skip: firstPort <= 80 && 'every port is free for all here',
}, async (t) => {
  const options = { host: '127.0.0.1', port: 80 }
  const child = startChild(t, 'listen-error', { args: [JSON.stringify(options)] })
  const { host: address, port } = options
  t.match(await child.next(), { code: 'EACCES', errno: -13, syscall: 'listen', address, port })
  t.strictSame(await child.untilExit(), { code: 0, signal: null })
})
