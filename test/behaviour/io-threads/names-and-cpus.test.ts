import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { test } from 'tap'
import { makeReactor } from '../../fixtures/reactor.js'

const ofTask = (id: string, file: string) => readFileSync(`/proc/self/task/${id}/${file}`, 'utf8').trim()

/** Returns the CPUs on which this process's thread of that name may run, as the kernel lists them. */
function cpusOf(name: string | undefined): string | undefined {
  const id = readdirSync('/proc/self/task').find((task) => ofTask(task, 'comm') === name)
  return id && /Cpus_allowed_list:\s*(.*)/.exec(ofTask(id, 'status'))?.[1]
}

test('threads are named, numbered, and pinned to the given CPUs in turn', (t) => {
  const free = cpusOf(ofTask(String(process.pid), 'comm'))
  const cpus = availableParallelism() > 1 ? [1, 0] : [0]
  const reactor = makeReactor(t, { ioThreads: { count: 4, cpus } })
  const names = reactor.stats().ioThreads.map(({ name }) => name)
  t.equal(names.length, 4)
  for (const [at, name] of names.entries()) {
    t.match(name, new RegExp(`^c1m-io-.*\\.${at}$`))
    t.equal(cpusOf(name), String(cpus[at % cpus.length]))
  }
  const [unpinned] = makeReactor(t, { ioThreads: 1 }).stats().ioThreads
  t.equal(cpusOf(unpinned?.name), free)
  t.end()
})

test('the number of threads is that of the given CPUs, or depends on the machine', (t) => {
  t.equal(makeReactor(t, { ioThreads: { cpus: [0, 0, 0] } }).stats().ioThreads.length, 3)
  t.equal(makeReactor(t, { ioThreads: 'auto' }).stats().ioThreads.length, Math.max(1, availableParallelism() - 1))
  t.equal(makeReactor(t, { ioThreads: {} }).stats().ioThreads.length, 1)
  t.equal(makeReactor(t, { ioThreads: 64 }).stats().ioThreads.length, 64)
  t.end()
})
