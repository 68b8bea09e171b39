import { t as tap, test } from 'tap'
import { startChild } from '../../fixtures/child.js'

// Each test mostly waits for a process to start.
tap.jobs = 2

const handlers = ['open', 'data', 'drain', 'timeout', 'shutdown', 'end', 'close'] as const

const CONNECTIONS = 3
const everyHandler = Object.fromEntries(handlers.map((name) => [name, CONNECTIONS]))

for (const name of handlers) {
  test(`an error thrown in ${name} is an uncaught exception, and all other events are delivered`, async (t) => {
    const child = startChild(t, 'throwing-handler', { args: [name, 'catch'] })
    t.strictSame(await child.next(), {
      calls: everyHandler,
      caught: Array.from({ length: CONNECTIONS }, () => `thrown in ${name}`),
      connections: 0,
    })
    t.strictSame(await child.untilExit(), { code: 0, signal: null })
  })

  test(`an uncaught error thrown in ${name} ends the process with its stack`, async (t) => {
    const child = startChild(t, 'throwing-handler', { args: [name, 'die'] })
    t.strictSame(await child.untilExit(), { code: 1, signal: null })
    t.match(child.stderr, `Error: thrown in ${name}`)
    // The compiled file, or the source by its source map.
    t.match(child.stderr, /throwing-handler\.[jt]s:\d+/)
    t.strictSame(child.said, [])
  })
}

for (const name of ['open', 'close']) {
  test(`a value thrown in ${name} need not be an Error`, async (t) => {
    const child = startChild(t, 'throwing-handler', { args: [name, 'catch', 'undefined'] })
    t.match(await child.next(), { calls: everyHandler, caught: [null, null, null] })
    t.strictSame(await child.untilExit(), { code: 0, signal: null })
  })
}

test('the rejection of an async handler is an unhandled rejection', async (t) => {
  const child = startChild(t, 'throwing-handler', { args: ['data', 'catch', 'reject'] })
  t.match(await child.next(), { calls: everyHandler, caught: Array.from({ length: 3 }, () => 'rejected in data') })
  t.strictSame(await child.untilExit(), { code: 0, signal: null })
})
