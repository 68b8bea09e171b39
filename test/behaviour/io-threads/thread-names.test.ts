import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { makeReactor } from '../../fixtures/reactor.js'

/** Returns the names of this process's threads, as `ps -L` shows them. */
function threadNames(): string[] {
  return readdirSync('/proc/self/task').map((id) => readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim())
}

test('each reactor’s thread has a unique name, which stats() returns', (t) => {
  const reactors = Array.from({ length: 12 }, () => makeReactor(t, { ioThreads: 1 }))
  const names = reactors.flatMap((reactor) => reactor.stats().ioThreads.map(({ name }) => name))
  t.equal(new Set(names).size, 12)
  t.strictSame(
    threadNames()
      .filter((name) => name.startsWith('c1m-io-'))
      .sort(),
    names.sort(),
  )
  t.end()
})
