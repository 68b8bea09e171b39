import { test } from 'tap'
import { PEERS } from './far.js'
import { GAPS, THREADS } from './features.js'
import { runScenarios } from './rows.js'

for (const threads of THREADS) {
  for (const gap of Object.keys(GAPS)) {
    for (const peer of Object.keys(PEERS)) {
      test(
        `the process ends with unref() and each other feature: ${gap}, a peer that ${peer}, ${threads} I/O threads`,
        { timeout: 300_000 },
        (t) => runScenarios(t, 'unref-child', `,,${gap},${peer},${threads}`),
      )
    }
  }
}
