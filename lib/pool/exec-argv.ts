/** With its value in the next argument, unless that follows a `=`. */
const WITH_VALUE = new Set(['-e', '--eval', '-pe', '-ep', '--input-type'])
/** The value may be missing. */
const WITH_OPTIONAL_VALUE = new Set(['-p', '--print'])
const ALONE = new Set(['-i', '--interactive', '-c', '--check', '--prof-process', '--'])
const PREFIXES = ['--test', '--watch', '--run', '--build-snapshot']

/**
 * @internal Options of Node for a process whose program is another one: without those that say what to run (a text, a test, a
 * prompt), since a worker would run that, and not its own program. (node(1))
 */
export function withoutProgram(execArgv: readonly string[]): string[] {
  const kept: string[] = []
  for (let at = 0; at < execArgv.length; at++) {
    const option = execArgv[at] as string
    const [name = option] = option.split('=', 1)
    const next = execArgv[at + 1]
    if (WITH_VALUE.has(option)) at++
    else if (WITH_OPTIONAL_VALUE.has(option) && next !== undefined && !next.startsWith('-')) at++
    else if (!WITH_VALUE.has(name) && !WITH_OPTIONAL_VALUE.has(name) && !ALONE.has(name) && !isOf(PREFIXES, name)) {
      kept.push(option)
    }
  }
  return kept
}

/** @internal Two processes can't have the inspector at one port. */
export function withoutInspector(execArgv: readonly string[]): string[] {
  return execArgv.filter((option) => !option.startsWith('--inspect'))
}

function isOf(prefixes: readonly string[], name: string): boolean {
  return prefixes.some((prefix) => name === prefix || name.startsWith(`${prefix}-`))
}
