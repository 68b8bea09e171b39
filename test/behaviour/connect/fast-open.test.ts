import { spawnSync } from 'node:child_process'
import { test } from 'tap'
import { startChild } from '../../fixtures/child.js'
import { kernelSetting } from '../../fixtures/host.js'
import { serve, TRIGGERS } from '../../fixtures/reactor.js'

/** Runs the child in a network namespace of its own, where it may change the kernel's setting. */
const unshare = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh']
const works = spawnSync(unshare[0] as string, [...unshare.slice(1), 'true'], { stdio: 'ignore' }).status === 0

for (const trigger of TRIGGERS) {
  test(`${trigger}: data is sent with the SYN, and a FIN waits for the handshake`, { skip: !works }, async (t) => {
    const child = startChild(t, 'fast-open', { args: [trigger], prefix: unshare })
    const exchanged = ['data bye', 'end', 'close']
    for (const name of ['the first', 'with a cookie', 'an end without a byte', 'more than a SYN holds']) {
      t.strictSame(await child.next(), exchanged, name)
    }
    t.strictSame(await child.next(), ['data first', 'end', 'data second', 'end', 'long', 'end'])
    t.strictSame(await child.next(), ['close ECONNREFUSED'])
    t.strictSame(await child.next(), ['close ECONNREFUSED'])
    t.strictSame(await child.untilExit(), { code: 0, signal: null }, child.stderr)
  })
}

test('without a cookie fastOpen makes an ordinary connection', async (t) => {
  const { reactor, port } = await serve(t, {})
  const attempt = reactor.connect({ host: '127.0.0.1', port, fastOpen: true })
  if ((Number(kernelSetting('net/ipv4/tcp_fastopen')) & 1) === 0) {
    await t.rejects(attempt, { code: 'ERR_C1M_UNSUPPORTED_OPTION' })
  } else {
    t.equal((await attempt).remotePort, port)
  }
})

test('connect() with MPTCP works where the kernel has it', async (t) => {
  const { reactor, port } = await serve(t, { data: (conn, chunk) => void conn.end(chunk) })
  const outcome = await reactor.connect({ host: '127.0.0.1', port, protocol: 'mptcp' }).catch(({ code }) => code)
  if (outcome === 'ERR_C1M_UNSUPPORTED_OPTION') return t.comment('this kernel has no MPTCP')
  t.equal(outcome.remotePort, port)
})
