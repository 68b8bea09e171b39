/** A fault that is known, and being fixed: what it says, of which scenarios, and why. Empty when all is well. */
export interface Known {
  /** Of the scenario's name. */
  readonly name: RegExp
  readonly fault: RegExp
  readonly why: string
}

const STUCK = /^(its close|its promises|the close of its peer|shutdown\(\) took)/

export const KNOWN: readonly Known[] = [
  { name: /^(file,move|move,file),/, fault: STUCK, why: 'a move waits for a file' },
  { name: /^(file|move),,,,3/, fault: STUCK, why: 'a move waits for a file' },
  { name: /^shutdown,(move|relay),/, fault: STUCK, why: 'a move that a shutdown meets never settles' },
]
