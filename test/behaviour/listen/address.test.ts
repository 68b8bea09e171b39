import { once } from 'node:events'
import { type AddressInfo, createServer, isIPv4, isIPv6 } from 'node:net'
import { type Test, test } from 'tap'
import { hasIpv6 } from '../../fixtures/host.js'
import { connectPeer } from '../../fixtures/peer.js'
import { freePort } from '../../fixtures/port.js'
import { serve, until } from '../../fixtures/reactor.js'

const noIpv6 = hasIpv6() ? false : 'no IPv6 here'

/** Returns the address of a listening `net.Server`. */
async function addressInNode(host?: string): Promise<AddressInfo> {
  const server = createServer().listen({ port: 0, ...(host === undefined ? {} : { host }) })
  await once(server, 'listening')
  const address = server.address() as AddressInfo
  server.close()
  return address
}

interface Ends {
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly localFamily: string | undefined
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: string | undefined
}

/** Listens on `listenHost`, connects to `host`, and returns both ends' addresses as c1m and as `node:net` see them. */
async function addressesOf(t: Test, listenHost: string | undefined, host: string): Promise<{ c1m: Ends; nodes: Ends }> {
  const seen: Ends[] = []
  const note = ({ localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily }: Ends) => {
    seen.push({ localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily })
  }
  const { port, listener } = await serve(
    t,
    { open: note },
    listenHost === undefined ? { host: '::' } : { host: listenHost },
  )
  t.equal((listener.address() as AddressInfo).port, port)
  const peer = await connectPeer(t, port, { host })
  await until(() => seen.length === 1)

  const server = createServer((socket) => note(socket as Ends)).listen(0, listenHost)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const nodePort = (server.address() as AddressInfo).port
  const nodePeer = await connectPeer(t, nodePort, { host })
  await until(() => seen.length === 2)
  const [c1m, nodes] = seen as [Ends, Ends]
  t.equal(c1m.localPort, port)
  t.equal(c1m.remotePort, peer.socket.localPort)
  const ports = { localPort: port, remotePort: peer.socket.localPort }
  t.equal(nodes.remotePort, nodePeer.socket.localPort)
  return { c1m, nodes: { ...nodes, ...ports } }
}

test('IPv4 addresses equal those of node:net', async (t) => {
  const { c1m, nodes } = await addressesOf(t, '127.0.0.1', '127.0.0.1')
  t.strictSame(c1m, nodes)
  t.equal(c1m.remoteFamily, 'IPv4')
  const { listener } = await serve(t, {})
  t.strictSame({ ...(listener.address() as AddressInfo), port: 0 }, { ...(await addressInNode('127.0.0.1')), port: 0 })
})

test('IPv6 addresses equal those of node:net', { skip: noIpv6 }, async (t) => {
  const { c1m, nodes } = await addressesOf(t, '::1', '::1')
  t.strictSame(c1m, nodes)
  t.equal(c1m.remoteFamily, 'IPv6')
  const { listener } = await serve(t, {}, { host: '::1' })
  t.strictSame({ ...(listener.address() as AddressInfo), port: 0 }, { ...(await addressInNode('::1')), port: 0 })
})

test('the address of an IPv4 client of a dual-stack listener equals that of node:net', { skip: noIpv6 }, async (t) => {
  const { c1m, nodes } = await addressesOf(t, undefined, '127.0.0.1')
  t.strictSame(c1m, nodes)
  t.equal(c1m.remoteAddress, '::ffff:127.0.0.1')
})

test('listen() without a host uses the address of node:net, and accepts both families', async (t) => {
  let opened = 0
  // The host is undefined, as when options are passed on.
  const { reactor } = await serve(t, {})
  const listener = await reactor.listen({ port: 0 }, { open: () => void opened++ })
  const address = listener.address() as AddressInfo
  const inNode = await addressInNode()
  t.strictSame({ ...address, port: 0 }, { ...inNode, port: 0 })
  await connectPeer(t, address.port)
  if (noIpv6 === false) await connectPeer(t, address.port, { host: '::1' })
  await until(() => opened === (noIpv6 === false ? 2 : 1))
})

test('a listener with ipv6Only refuses IPv4 clients', { skip: noIpv6 }, async (t) => {
  let opened = 0
  const { port } = await serve(t, { open: () => void opened++ }, { host: '::', port: await freePort(), ipv6Only: true })
  await t.rejects(connectPeer(t, port), { code: 'ECONNREFUSED' })
  await connectPeer(t, port, { host: '::1' })
  await until(() => opened === 1)
})

test('the host of listen() is resolved by dns.lookup()', async (t) => {
  const { listener, port } = await serve(t, {}, { host: 'localhost' })
  const address = listener.address() as AddressInfo
  t.strictSame({ ...address, port: 0 }, { ...(await addressInNode('localhost')), port: 0 })
  await connectPeer(t, port, { host: 'localhost' })
  // A machine without a resolver reports EAI_AGAIN.
  await t.rejects(serve(t, {}, { host: 'no-such-host.invalid' }), {
    code: /^(ENOTFOUND|EAI_AGAIN)$/,
    syscall: 'getaddrinfo',
  })
})

test('port 0 is a free port of the kernel’s choice', async (t) => {
  const first = await serve(t, {})
  const second = await serve(t, {}, {}, first.reactor)
  t.ok(first.port > 0 && second.port > 0)
  t.not(first.port, second.port)
  t.equal((first.listener.address() as AddressInfo).port, first.port)
})

test('a given port is used, and free again after close()', async (t) => {
  const { reactor, listener, port } = await serve(t, {})
  await listener.close()
  const again = await reactor.listen({ host: '127.0.0.1', port }, {})
  t.equal(again.port, port)
})

test('the address can be read after close()', async (t) => {
  const { listener, port } = await serve(t, {})
  await listener.close()
  t.strictSame(listener.address(), { address: '127.0.0.1', family: 'IPv4', port })
  t.equal(listener.port, port)
})

test('any address of 127.0.0.0/8 works', async (t) => {
  const { listener, port } = await serve(t, {}, { host: '127.1.2.3' })
  const { address } = listener.address() as AddressInfo
  t.ok(isIPv4(address) && !isIPv6(address))
  t.equal(address, '127.1.2.3')
  await connectPeer(t, port, { host: '127.1.2.3' })
})
