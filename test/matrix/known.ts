/** A fault that is known, and being fixed: what it says, of which scenarios, and why. Empty when all is well. */
export interface Known {
  /** Of the scenario's name. */
  readonly name: RegExp
  readonly fault: RegExp
  readonly why: string
}

export const KNOWN: readonly Known[] = []
