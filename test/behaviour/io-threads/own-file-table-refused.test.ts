import { constants } from 'node:os'
import { t as tap, test } from 'tap'
import { startChild } from '../../fixtures/child.js'

// Each test mostly waits for a process to start.
tap.jobs = 2

const { EPERM, ENOSYS, EINVAL, EMFILE } = constants.errno

for (const [syscall, errno, name] of [
  ['close_range', ENOSYS, 'ENOSYS'],
  ['close_range', EINVAL, 'EINVAL'],
  ['pidfd_open', ENOSYS, 'ENOSYS'],
  ['pidfd_getfd', EPERM, 'EPERM'],
] as const) {
  test(`ownFileTable is unsupported if ${syscall} fails with ${name}`, async (t) => {
    const child = startChild(t, 'refused-file-table', { args: [syscall, String(errno)] })
    t.strictSame(await child.next(), {
      name: 'C1mError',
      code: 'ERR_C1M_UNSUPPORTED_OPTION',
      message: `"ownFileTable" is not possible here: ${syscall} ${name}`,
    })
  })
}

test('a full file table fails with the error of the system', async (t) => {
  const child = startChild(t, 'refused-file-table', { args: ['pidfd_getfd', String(EMFILE)] })
  t.strictSame(await child.next(), { name: 'Error', code: 'EMFILE', message: 'pidfd_getfd EMFILE' })
})
