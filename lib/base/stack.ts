/**
 * 64 KiB of arguments, which take some 5 µs. A call of the library, with what Node does for a `nextTick` or a promise,
 * nests 20 frames of 100 to 200 bytes; but a function is compiled at its first call, and that took 40 KiB on Node 20.
 */
const ARGUMENTS = new Array<undefined>(8192).fill(undefined)
const TWICE = [...ARGUMENTS, ...ARGUMENTS]

/**
 * Throws the RangeError of a stack overflow now, if less of the stack is left than a call of the library needs. Code
 * that catches it, in the middle of a recursion, continues with a library in which nothing is half done.
 */
export function needStack(): void {
  Reflect.apply(nothing, undefined, ARGUMENTS)
}

/**
 * Checks the same in front of a function that calls needStack() a few frames further down: if this has found enough, so
 * does that.
 */
export function needMoreStack(): void {
  Reflect.apply(nothing, undefined, TWICE)
}

function nothing(): void {}
