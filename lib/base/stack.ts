/**
 * 64 KiB of arguments, which take some 5 µs. A call of ours, with what Node does for a `nextTick` or a promise, nests 20 frames
 * of 100 to 200 bytes; but a function that is called for the first time is compiled first, and that took 40 KiB on Node 20.
 */
const ARGUMENTS = new Array<undefined>(8192).fill(undefined)
const TWICE = [...ARGUMENTS, ...ARGUMENTS]

/**
 * Throws the RangeError of a stack overflow now, if less of the stack is left than a call of ours needs. Whoever catches one,
 * in the middle of a recursion, goes on with a library in which nothing has been done by halves.
 */
export function needStack(): void {
  Reflect.apply(nothing, undefined, ARGUMENTS)
}

/** The same before what asks for that itself, a few frames further down: if this has found enough, so does that. */
export function needMoreStack(): void {
  Reflect.apply(nothing, undefined, TWICE)
}

function nothing(): void {}
