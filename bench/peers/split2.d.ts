/** What the benchmark needs of `split2`, which has no types of its own. */
declare module 'split2' {
  import type { Transform } from 'node:stream'
  export default function split2(): Transform
}
