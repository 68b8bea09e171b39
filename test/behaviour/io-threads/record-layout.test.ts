import { test } from 'tap'
import { built } from '../../fixtures/built.js'

interface Binding {
  readonly nativeLayout: Readonly<Record<string, number | readonly string[]>>
}

const { nativeLayout } = built<Binding>('binding')
const layout = built<Record<string, unknown>>('layout')
const { optionNames } = built<{ readonly optionNames: readonly string[] }>('socket-options')
const { tcpInfoFields } = built<{ readonly tcpInfoFields: readonly string[] }>('tcp-info')

/** Names of the record layout that only one side has any use for. */
const ours = new Set(['SYSCALLS', 'OWN_ERRORS'])

test('both sides of the thread boundary have the same record layout', (t) => {
  const { OPTION_NAMES, TCP_INFO_FIELDS, ...native } = nativeLayout
  t.ok(Object.keys(native).length > 20)
  const inTypeScript = Object.fromEntries(Object.entries(layout).filter(([name]) => !ours.has(name)))
  t.strictSame({ ...inTypeScript }, { ...native })
  t.end()
})

test('events and commands have numbers of their own', (t) => {
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
