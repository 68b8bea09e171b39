import { type Feature, NAMES, nameOf, type Scenario, scenariosOf, THREADS } from './features.js'

/** Returns the scenarios whose names begin with the words of C1M_MATRIX. An empty word stands for any. */
export function chosen(): Scenario[] {
  const words = (process.env.C1M_MATRIX ?? '').split(',')
  const firsts = words[0] ? [words[0] as Feature] : NAMES
  const fits = (scenario: Scenario) =>
    nameOf(scenario)
      .split(',')
      .every((word, i) => !words[i] || words[i] === word)
  return firsts.flatMap((first) => THREADS.flatMap((threads) => scenariosOf(first, threads))).filter(fits)
}
