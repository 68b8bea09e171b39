import { test } from 'tap'
import { NAMES } from './features.js'
import { runScenarios } from './rows.js'

for (const first of NAMES.filter((name) => name !== 'unref')) {
  test(`the guarantees hold for ${first} and then each other feature, on 3 I/O threads`, { timeout: 300_000 }, (t) =>
    runScenarios(t, 'child', `${first},,,,3`),
  )
}
