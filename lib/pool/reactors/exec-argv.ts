/** With its value in the next argument, whatever that is, unless it follows a `=`. */
const WITH_VALUE = new Set(['-e', '--eval', '-pe', '-ep', '--input-type'])
const OTHERS = new Set(['-p', '--print', '-i', '--interactive', '-c', '--check', '--prof-process', '--'])
const PREFIXES = ['--test', '--watch', '--run', '--build-snapshot']
const INSPECTOR_PREFIXES = ['--inspect', '--debug-port']

/**
 * @internal Options of Node for a process whose program is another one: without those that say what to run (a text, a test, a
 * prompt), since a worker would run that, and not its own program. (node(1))
 */
export function withoutProgram(execArgv: readonly string[]): string[] {
  return without(execArgv, (name) => WITH_VALUE.has(name) || OTHERS.has(name) || isOf(PREFIXES, name))
}

/** @internal Two processes can't have the inspector at one port. */
export function withoutInspector(execArgv: readonly string[]): string[] {
  return without(execArgv, (name) => isOf(INSPECTOR_PREFIXES, name))
}

/** With an option goes its value: among options, what doesn't look like one can be nothing else. A worker would run it. */
function without(execArgv: readonly string[], unwanted: (name: string) => boolean): string[] {
  const kept: string[] = []
  for (let at = 0; at < execArgv.length; at++) {
    const option = execArgv[at] as string
    const [name = option] = option.split('=', 1)
    if (!unwanted(name)) kept.push(option)
    else if (WITH_VALUE.has(option) || execArgv[at + 1]?.startsWith('-') === false) at++
  }
  return kept
}

function isOf(prefixes: readonly string[], name: string): boolean {
  return prefixes.some((prefix) => name === prefix || name.startsWith(`${prefix}-`))
}
