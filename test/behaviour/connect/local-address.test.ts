import type { ConnectOptions, ConnectSettings } from 'c1m'
import { test } from 'tap'
import { hasIpv6, kernelSetting } from '../../fixtures/host.js'
import { serve, until } from '../../fixtures/reactor.js'

/** Returns a port below the kernel's ephemeral range, so that no other socket gets it by chance. */
function quietPort(): number {
  const lowest = Number.parseInt(kernelSetting('net/ipv4/ip_local_port_range') ?? '32768', 10)
  return Math.max(1024, lowest - 1 - (process.pid % 10_000))
}

test('localAddress and localPort are those of the connection, and are free after it', async (t) => {
  const { reactor, port } = await serve(t, {}, { host: '0.0.0.0' })
  const connect = (options: ConnectSettings) =>
    reactor.connect({ host: '127.0.0.1', port, ...options } as ConnectOptions)
  const one = await connect({ localAddress: '127.0.0.5' })
  t.equal(one.localAddress, '127.0.0.5')
  t.ok((one.localPort as number) > 0)

  // The port is free again immediately, even while the previous connection is in TIME_WAIT.
  const localPort = quietPort()
  one.reset()
  await until(() => reactor.connections.size === 0)
  for (let i = 0; i < 3; i++) {
    const conn = await connect({ host: `127.0.0.${i + 2}`, localAddress: '127.0.0.6', localPort })
    t.strictSame([conn.localAddress, conn.localPort], ['127.0.0.6', localPort])
    conn.end()
    await until(() => reactor.connections.size === 0)
  }

  const any = await connect({ localPort })
  t.strictSame([any.localAddress, any.localPort], ['127.0.0.1', localPort])
  await t.rejects(connect({ localPort: port }), { code: 'EADDRINUSE', message: `bind EADDRINUSE 0.0.0.0:${port}` })
})

test('a local port can connect to several destinations at the same time, and once to each', async (t) => {
  const { reactor, port } = await serve(t, {}, { host: '0.0.0.0' })
  const connect = (host: string, localPort: number) =>
    reactor.connect({ host, port, localAddress: '127.0.0.7', localPort })
  const localPort = quietPort()
  const first = await connect('127.0.0.1', localPort)
  const second = await connect('127.0.0.2', localPort)
  t.equal(first.localPort, localPort)
  t.equal(second.localPort, localPort)
  await t.rejects(connect('127.0.0.2', localPort), { code: 'EADDRNOTAVAIL', message: /^connect/ })
})

test('a local address of another host, or a port of a listener, is refused', async (t) => {
  const { reactor, port } = await serve(t, {})
  const foreign = await reactor.connect({ host: '127.0.0.1', port, localAddress: '192.0.2.1' }).catch((error) => error)
  t.match(foreign, {
    message: 'bind EADDRNOTAVAIL 192.0.2.1',
    code: 'EADDRNOTAVAIL',
    syscall: 'bind',
    address: '192.0.2.1',
  })
  t.equal(foreign.port, undefined)
  const taken = { host: '127.0.0.1', port, localAddress: '127.0.0.1', localPort: port }
  t.match(await reactor.connect(taken).catch((error) => error), {
    message: `bind EADDRINUSE 127.0.0.1:${port}`,
    code: 'EADDRINUSE',
    syscall: 'bind',
    port,
  })
})

test('localAddress may be an IPv6 address', { skip: !hasIpv6() }, async (t) => {
  const { reactor, port } = await serve(t, {}, { host: '::1' })
  const localPort = quietPort()
  const conn = await reactor.connect({ host: '::1', port, localAddress: '::1', localPort })
  t.equal(conn.localAddress, '::1')
  conn.reset()
  await until(() => reactor.connections.size === 0)
  const again = await reactor.connect({ host: '::1', port, localPort })
  t.equal(again.localPort, localPort)
})
