import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Connection, ListenOptions, SocketOptions } from 'c1m'
import { test } from 'tap'
import { hasIpv6, kernelSetting } from '../../fixtures/host.js'
import { makeReactor, until } from '../../fixtures/reactor.js'
import { SAMPLES } from '../../fixtures/socket-options.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const unsupported = (name: string) => ({
  name: 'C1mError',
  code: 'ERR_C1M_UNSUPPORTED_OPTION',
  message: new RegExp(`"${name}"`),
})

/** All that a Unix socket lacks. */
const ofTcp = Object.entries(SAMPLES).filter(([name]) => name !== 'sendBufferBytes')

test('a Unix listener reports each option that it lacks, and leaves no file', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  const reactor = makeReactor(t)
  for (const [name, { value }] of ofTcp) {
    const options = { path, [name]: value } as ListenOptions
    await t.rejects(reactor.listen(options, {}), unsupported(name), name)
    // An unsupported option can't be switched off either.
    if (value === true) await t.rejects(reactor.listen({ ...options, [name]: false }, {}), unsupported(name))
    t.notOk(existsSync(path))
  }
  await t.rejects(reactor.listen({ path, keepAlive: { idleMs: 1000 } }, {}), unsupported('keepAlive.idleMs'))
})

test('a Unix connection supports the send buffer’s size only, and reports the other options', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  let conn: Connection | undefined
  const listener = await makeReactor(t).listen(
    { path, sendBufferBytes: 40_000 },
    {
      open(opened) {
        conn = opened
      },
    },
  )
  t.strictSame(listener.options, { sendBufferBytes: 80_000 })
  const socket = connect(path)
  t.teardown(() => socket.destroy())
  await until(() => conn !== undefined)
  const opened = conn as unknown as Connection
  for (const [name, { value }] of ofTcp) {
    await t.rejects(opened.setOptions({ [name]: value } as SocketOptions), unsupported(name), name)
  }
  t.strictSame(await opened.setOptions({ sendBufferBytes: 50_000 }), { sendBufferBytes: 100_000 })
  await t.rejects(opened.tcpInfo(), unsupported('tcpInfo'))
  t.equal(opened.closed, false)
})

test('Unix connections have their listener’s sendBufferBytes', async (t) => {
  const path = join(temporaryDirectory(t), 'socket')
  const applied: unknown[] = []
  await makeReactor(t).listen(
    { path, sendBufferBytes: 40_000 },
    { open: (conn) => void conn.getOptions().then((options) => applied.push(options)) },
  )
  const socket = connect(path)
  t.teardown(() => socket.destroy())
  await until(() => applied.length === 1)
  t.strictSame(applied, [{ sendBufferBytes: 80_000 }])
})

test('listen() with an unknown congestion control rejects, and names the option', async (t) => {
  await t.rejects(makeReactor(t).listen({ port: 0, congestion: 'no-such' }, {}), {
    code: 'ENOENT',
    errno: -2,
    syscall: 'setsockopt',
    message: /"congestion"/,
  })
})

test('ipv6Only with an IPv4 address rejects', async (t) => {
  await t.rejects(makeReactor(t).listen({ host: '127.0.0.1', port: 0, ipv6Only: true }, {}), unsupported('ipv6Only'))
})

const noMptcp = kernelSetting('net/mptcp/enabled') === '1' ? false : 'no Multipath TCP here'

test('options that Multipath TCP doesn’t support reject', { skip: noMptcp }, async (t) => {
  const reactor = makeReactor(t)
  const options = { host: '127.0.0.1', port: 0, protocol: 'mptcp' } as const
  await t.rejects(reactor.listen({ ...options, userTimeoutMs: 1000 }, {}), unsupported('userTimeoutMs'))
  await t.rejects(reactor.listen({ ...options, quickAck: true }, {}), unsupported('quickAck'))
  if (hasIpv6()) await t.rejects(reactor.listen({ ...options, host: '::1', ipTos: 8 }, {}), unsupported('ipTos'))
})
