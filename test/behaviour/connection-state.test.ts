import { test } from 'tap'
import { built } from '../fixtures/built.js'

const MASKS = ['POOL_PAUSED', 'MUST_BUFFER', 'CANNOT_WRITE', 'GONE']

test("the flags of a connection's state are different bits", (t) => {
  const exported = Object.entries(built<Record<string, unknown>>('connection/state'))
  const flags = exported.filter((one): one is [string, number] => typeof one[1] === 'number' && !MASKS.includes(one[0]))
  t.ok(flags.length >= 12)
  for (const [name, bit] of flags) t.equal(bit & (bit - 1), 0, `${name} is a power of two`)
  const bits = flags.map(([, bit]) => bit)
  t.equal(new Set(bits).size, bits.length)
  t.equal(Math.max(...bits), Object.fromEntries(flags).POOL_PAUSE, 'the bits from POOL_PAUSE on count pools')
  t.end()
})
