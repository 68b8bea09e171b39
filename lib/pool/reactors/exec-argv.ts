/** Options whose value is the next argument, whatever that is, unless they contain a `=`. */
const WITH_VALUE = new Set(['-e', '--eval', '-pe', '-ep', '--input-type'])
const OTHERS = new Set(['-p', '--print', '-i', '--interactive', '-c', '--check', '--prof-process', '--'])
const PREFIXES = ['--test', '--watch', '--run', '--build-snapshot']
const INSPECTOR_PREFIXES = ['--inspect', '--debug-port']

/**
 * @internal Returns the options of Node for a process with another program: without those that say what to run (a text,
 * a test, a prompt), because a worker would run that, and not its own program. (node(1))
 */
export function withoutProgram(execArgv: readonly string[]): string[] {
  return without(execArgv, (name) => WITH_VALUE.has(name) || OTHERS.has(name) || isOf(PREFIXES, name))
}

/** @internal Returns the options without the inspector's, because two processes can't use the same port for it. */
export function withoutInspector(execArgv: readonly string[]): string[] {
  return without(execArgv, (name) => isOf(INSPECTOR_PREFIXES, name))
}

/**
 * Removes options and their values: an argument among options that doesn't look like one is a value. A worker would run
 * it.
 */
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
