import { type Test, t as tap, test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { type Child, startChild } from '../../fixtures/child.js'

// Each test mostly waits for a process to start.
tap.jobs = 2

const ok = { code: 0, signal: null }

function start(t: Test, ...args: string[]): Child {
  return startChild(t, 'exit-by-itself', { args })
}

const exits: Record<string, string> = {
  unused: 'a reactor that was never used',
  'listener-closed': 'a listener that was closed',
  'connection-closed': 'a listener that was closed, and the last connection after it',
  'listener-closed-later': 'the last connection, and the listener after it',
  'listen-failed': 'a listen() that failed',
  'shut-down': 'a reactor that was shut down',
  unref: 'an unreferenced reactor with a listener and a connection',
  'unref-sending': 'a file that is being sent by an unreferenced reactor',
  'unref-relaying': 'a relay of an unreferenced reactor',
  'unref-before': 'a reactor that was unreferenced before it listened (but its promises do)',
  'unref-shut-down': 'an unreferenced reactor that was shut down (but its promises do)',
  'paused-closed': 'a paused connection that has been destroyed',
  'connect-failed': 'a reactor whose attempts to connect have failed',
  'connect-closed': 'an outgoing connection that has closed',
  'connecting-unref': 'an attempt to connect of an unreferenced reactor',
}

for (const [situation, what] of Object.entries(exits)) {
  test(`${what} does not keep the process alive`, async (t) => {
    const child = start(t, situation)
    t.strictSame(await child.untilExit(), ok)
    t.strictSame(child.said, [situation], child.stderr)
  })
}

const stays: Record<string, string> = {
  listening: 'an open listener',
  connected: 'an open connection without a listener',
  'connected-quietly': 'an open connection without any handler',
  connecting: 'an attempt to connect',
  'looking-up': 'an attempt that waits for a lookup',
  'paused-closed-untold': 'a paused connection that has closed, with buffered events,',
  'connected-out': 'an outgoing connection without a listener',
  'unref-ref': 'a reactor that was unreferenced and referenced again',
}

// A signal ends these: the sanitizer has nothing to look at that the others don't show.
for (const [situation, what] of SANITIZED ? [] : Object.entries(stays)) {
  test(`${what} keeps the process`, async (t) => {
    const child = start(t, situation, 'stays')
    t.equal(await child.next(), situation)
    t.equal(await child.next(), 'still here')
    child.process.kill('SIGTERM')
    t.strictSame(await child.untilExit(), { code: null, signal: 'SIGTERM' })
  })
}

test('a request keeps the process alive until its reply', async (t) => {
  const child = start(t, 'question')
  t.strictSame(await child.untilExit(), ok)
  t.strictSame(child.said, ['established', 'question'], child.stderr)
})
