import { test } from 'tap'
import { built } from '../../fixtures/built.js'

interface Binding {
  readonly nativeLayout: Readonly<Record<string, number | readonly string[]>>
}

const { nativeLayout } = built<Binding>('native/binding')
const layout = built<Record<string, unknown>>('native/layout')
const { closeError } = built<{ closeError(number: number, syscall: string): { readonly code: string } }>(
  'native/own-errors',
)
const { optionNames } = built<{ readonly optionNames: readonly string[] }>('options/socket-options')
const { tcpInfoFields } = built<{ readonly tcpInfoFields: readonly string[] }>('options/tcp-info')

test('both sides of the thread boundary have the same record layout', (t) => {
  const { OPTION_NAMES, TCP_INFO_FIELDS, ...native } = nativeLayout
  t.ok(Object.keys(native).length > 20)
  t.strictSame({ ...layout }, { ...native })
  t.end()
})

test("the code of each of the I/O thread's own errors equals its name", (t) => {
  const own = Object.entries(nativeLayout).filter(([name]) => name.startsWith('OWN_ERROR_'))
  t.ok(own.length >= 4)
  for (const [name, number] of own) {
    t.equal(closeError(number as number, 'read').code, name.replace('OWN_ERROR', 'ERR_C1M'))
  }
  t.end()
})

test('no two events, and no two commands, have the same number', (t) => {
  for (const prefix of ['EVENT', 'COMMAND']) {
    const sizes = new Set(['EVENT_WORDS', 'EVENT_RECORDS', 'COMMAND_WORDS'])
    const kinds = Object.entries(nativeLayout).filter(([name]) => name.startsWith(`${prefix}_`) && !sizes.has(name))
    const numbers = kinds.map(([, number]) => number)
    t.ok(numbers.length >= 7)
    t.equal(new Set(numbers).size, numbers.length)
  }
  t.end()
})

test('both sides have the same table of socket options', (t) => {
  t.strictSame([...optionNames], nativeLayout.OPTION_NAMES)
  t.end()
})

test('both sides have the same fields of tcpInfo', (t) => {
  t.strictSame([...tcpInfoFields], nativeLayout.TCP_INFO_FIELDS)
  t.end()
})
