import { test } from 'tap'
import { startChild } from '../../fixtures/child.js'

interface Attempt {
  /** Descriptors that were left. */
  readonly left: number
  readonly reactor: string
  readonly syscall?: string
  readonly listen?: string
}

test('a reactor that gets no descriptors says so, and keeps none', async (t) => {
  const child = startChild(t, 'exhaust-descriptors', { descriptors: 64 })
  const attempts = await child.next<Attempt[]>()
  t.strictSame(await child.untilExit(), { code: 0, signal: null })
  t.equal(child.stderr, '')
  const none = attempts.find(({ left }) => left === 0)
  t.match(none, { reactor: 'EMFILE', syscall: /^(epoll_create1|eventfd)$/ })
  const some = attempts.filter(({ reactor }) => reactor === 'ok')
  t.ok(some.length > 0, 'with a few, it starts')
  t.match(some[0], { listen: 'EMFILE' }, 'and listen() fails first')
  t.match(attempts.at(-1), { reactor: 'ok', listen: 'ok' })
})
