import { test } from 'tap'
import { startChild } from '../../fixtures/child.js'

interface Attempt {
  /** The number of free descriptors. */
  readonly left: number
  readonly reactor: string
  readonly syscall?: string
  readonly listen?: string
}

test('a reactor without descriptors throws the error of the system, and leaks none', async (t) => {
  const child = startChild(t, 'exhaust-descriptors', { descriptors: 64 })
  const attempts = await child.next<Attempt[]>()
  t.strictSame(await child.untilExit(), { code: 0, signal: null })
  t.equal(child.stderr, '')
  const none = attempts.find(({ left }) => left === 0)
  t.match(none, { reactor: 'EMFILE', syscall: /^(epoll_create1|eventfd)$/ })
  const some = attempts.filter(({ reactor }) => reactor === 'ok')
  t.ok(some.length > 0, 'a reactor starts with a few descriptors')
  t.match(some[0], { listen: 'EMFILE' }, 'listen() fails for lack of descriptors')
  t.match(attempts.at(-1), { reactor: 'ok', listen: 'ok' })
})
