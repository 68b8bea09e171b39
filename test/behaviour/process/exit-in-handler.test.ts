import { t as tap, test } from 'tap'
import { startChild } from '../../fixtures/child.js'
import { TRIGGERS } from '../../fixtures/reactor.js'

// Each test waits for a process to start, and for its peers.
tap.jobs = 2

const places = {
  edge: ['open', 'data', 'end', 'close', 'timeout', 'drain', 'nextTick', 'promise'],
  level: ['data', 'close'],
}

for (const trigger of TRIGGERS) {
  for (const name of places[trigger]) {
    test(`process.exit() in ${name}, under load, ends the process with its code (${trigger})`, async (t) => {
      const child = startChild(t, 'exit-in-handler', { args: [name, trigger] })
      t.strictSame(await child.untilExit(), { code: 42, signal: null })
      t.equal(child.stderr, '')
      t.strictSame(child.said, ['exit'])
    })
  }
}
