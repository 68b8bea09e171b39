/** `true` if A and B are the very same type, and not merely assignable. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Compiles if the type is `true`: `holds<Same<typeof value, string>>()`. */
export function holds<_T extends true>(): void {}

/** Compiles if the value may be passed on as a T. */
export function take<T>(_value: T): void {}
