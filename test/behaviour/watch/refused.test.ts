import { closeSync, openSync } from 'node:fs'
import type { WatchHandler, WatchInterest } from 'c1m'
import { test } from 'tap'
import { openDescriptors } from '../../fixtures/host.js'
import { makeReactor } from '../../fixtures/reactor.js'

const type = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }
const value = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' }
const range = { name: 'RangeError', code: 'ERR_C1M_OUT_OF_RANGE' }

test('watch() with bad arguments throws', (t) => {
  const reactor = makeReactor(t)
  const before = openDescriptors()
  const watch = (fd: unknown, interest: unknown, handler: unknown = () => {}) =>
    reactor.watch(fd as number, interest as WatchInterest, handler as WatchHandler)
  for (const fd of [undefined, '1', null]) t.throws(() => watch(fd, { readable: true }), type)
  for (const fd of [-1, 0.5, 2 ** 31]) t.throws(() => watch(fd, { readable: true }), range)
  for (const interest of [undefined, null, 'readable', []]) t.throws(() => watch(0, interest), type)
  t.throws(() => watch(0, { readable: 1 }), type)
  t.throws(() => watch(0, {}), value)
  t.throws(() => watch(0, { readable: false, writable: false }), value)
  t.throws(() => watch(0, { readable: true }, 'x'), type)
  t.equal(openDescriptors(), before)
  t.end()
})

test('watch() throws the error of epoll', (t) => {
  const reactor = makeReactor(t)
  const file = openSync(__filename, 'r')
  const folder = openSync(__dirname, 'r')
  for (const fd of [file, folder]) {
    t.throws(() => reactor.watch(fd, { readable: true }, () => {}), {
      code: 'EPERM',
      syscall: 'epoll_ctl',
      message: `epoll_ctl EPERM: descriptor ${fd}`,
    })
    closeSync(fd)
  }
  t.throws(() => reactor.watch(2 ** 31 - 1, { readable: true }, () => {}), { code: 'EBADF', syscall: 'epoll_ctl' })
  t.end()
})
