import { t as tap, test } from 'tap'
import { startChild } from '../../fixtures/child.js'
import { deadDisk } from '../../fixtures/dead-disk.js'

tap.jobs = 3

// Each of them hung for as long as the disk did.

test('shutdown() keeps its deadline while file threads wait for a dead disk', async (t) => {
  const child = startChild(t, 'dead-disk', { args: ['shutdown'], env: deadDisk(t) })
  const answers = Array(6).fill('ERR_C1M_CONNECTION_CLOSED')
  t.strictSame(await child.next(), { drained: 0, cut: 6, answers })
  t.strictSame(await child.untilExit(), { code: 0, signal: null })
  t.equal(child.stderr, '')
})

test('worker.terminate() doesn’t wait for a dead disk, and file threads that do keep their code', async (t) => {
  const child = startChild(t, 'dead-disk', { args: ['terminate'], env: deadDisk(t) })
  t.strictSame(await child.next(), { code: 1 })
  t.strictSame(await child.untilExit(), { code: 0, signal: null })
  t.equal(child.stderr, '')
})

test('process.exit() doesn’t wait for a dead disk', async (t) => {
  const child = startChild(t, 'dead-disk', { args: ['exit'], env: deadDisk(t) })
  t.strictSame(await child.untilExit(), { code: 0, signal: null })
  t.equal(child.stderr, '')
})
