import { types } from 'node:util'
import type { Transferable } from 'node:worker_threads'

/**
 * @internal Returns the value of a task for cloning: without the memory around a view of bytes, which would be cloned
 * as well. A chunk of `data` lies in a slab of 256 KiB. Views are found in the value itself, and right below a plain
 * object or an array.
 */
export function withoutSurroundings(value: unknown, transfer: readonly Transferable[] | undefined): unknown {
  const moved = new Set<unknown>(transfer)
  const compact = (one: unknown) => (ArrayBuffer.isView(one) ? copyOf(one, moved) : one)
  if (typeof value !== 'object' || value === null) return value
  if (ArrayBuffer.isView(value)) return compact(value)
  if (Array.isArray(value)) return value.some(isLoose) ? value.map(compact) : value
  if (!isPlain(value) || !Object.values(value).some(isLoose)) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, compact(one)]))
}

function isLoose(value: unknown): boolean {
  return ArrayBuffer.isView(value) && value.byteLength < value.buffer.byteLength
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

function copyOf(view: ArrayBufferView, moved: ReadonlySet<unknown>): ArrayBufferView {
  const { buffer, byteOffset, byteLength } = view
  // Shared memory must stay shared, and moved memory isn't copied.
  if (!isLoose(view) || !types.isArrayBuffer(buffer) || moved.has(buffer)) return view
  const bytes = new Uint8Array(buffer, byteOffset, byteLength).slice()
  if (types.isUint8Array(view)) return bytes
  const Type = view.constructor as new (buffer: ArrayBuffer) => ArrayBufferView
  return new Type(bytes.buffer)
}
