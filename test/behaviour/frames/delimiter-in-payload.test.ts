import { delimited } from 'c1m'
import { test } from 'tap'

test('a payload is refused if its end and the delimiter form an earlier delimiter', async (t) => {
  const refused: readonly (readonly [delimiter: string, payload: string])[] = [
    ['\r\r', 'abc\r'],
    ['\r\n\r\n', 'abc\r\n'],
    ['aba', 'xab'],
    ['abab', 'ab'],
    ['aaaa', 'xa'],
    ['aaaa', 'xaaa'],
  ]
  for (const [delimiter, payload] of refused) {
    t.throws(() => delimited(delimiter).encode(payload), { code: 'ERR_C1M_INVALID_ARG_VALUE' }, payload)
  }
  const taken: readonly (readonly [delimiter: string, payload: string])[] = [
    ['\r\n', 'abc\r'],
    ['\r\n\r\n', 'abc\r'],
    ['\r\n\r\n', 'abc\r\n\r'],
    ['aab', 'aaaa'],
    ['aba', 'xa'],
    ['aba', 'b'],
    ['\n', ''],
    ['aa', ''],
  ]
  for (const [delimiter, payload] of taken) {
    const framing = delimited(delimiter)
    // The peer must find the delimiter at the end of the payload, and not before.
    const whole = (payload + delimiter).indexOf(delimiter) === payload.length
    if (whole) t.equal(framing.encode(payload).toString(), payload + delimiter)
    else t.throws(() => framing.encode(payload), { code: 'ERR_C1M_INVALID_ARG_VALUE' }, payload)
  }
})

test('all payloads and delimiters of two letters are either refused or framed correctly', async (t) => {
  const words = (length: number): string[] =>
    length === 0 ? [''] : words(length - 1).flatMap((word) => [`${word}a`, `${word}b`])
  let refused = 0
  for (const size of [1, 2, 3, 4]) {
    for (const delimiter of words(size)) {
      const framing = delimited(delimiter)
      for (const payload of [0, 1, 2, 3, 4, 5].flatMap(words)) {
        const right = (payload + delimiter).indexOf(delimiter) === payload.length
        let taken = true
        try {
          framing.encode(payload)
        } catch {
          taken = false
          refused++
        }
        if (taken !== right) t.fail(`${payload} with ${delimiter}`)
      }
    }
  }
  t.ok(refused > 0)
})
