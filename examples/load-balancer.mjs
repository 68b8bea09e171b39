// A TCP load balancer: each client is connected to one of several upstream servers, and the kernel forwards the bytes.
//   node examples/load-balancer.mjs [round-robin|least-connections|source-hash] [host:port ...]
// Without servers it starts three of its own. Then: nc localhost 7000
import { Reactor, relay } from 'c1m'

const [policy = 'round-robin', ...targets] = process.argv.slice(2)
const reactor = new Reactor()
if (targets.length === 0) targets.push(...(await startServers(3)))

/** @typedef {{ host: string, port: number, relays: number, failedAt: number }} Upstream */
const upstreams = targets.map((target) => {
  const at = target.lastIndexOf(':')
  return { host: target.slice(0, at), port: Number(target.slice(at + 1)), relays: 0, failedAt: -Infinity }
})
let turn = 0

/** @type {Map<string, (client: import('c1m').Connection) => Upstream[]>} All servers, the best first. */
const policies = new Map([
  ['round-robin', () => [...upstreams.slice(turn % upstreams.length), ...upstreams.slice(0, turn % upstreams.length)]],
  ['least-connections', () => upstreams.toSorted((one, other) => one.relays - other.relays)],
  [
    'source-hash',
    (/** @type {import('c1m').Connection} */ client) =>
      upstreams.toSorted((one, other) => weight(client, other) - weight(client, one)),
  ],
])
const order = policies.get(policy)
if (order === undefined) throw new Error(`no policy ${policy}: there are ${[...policies.keys()].join(', ')}`)

/**
 * Rendezvous hashing: when a server disappears, only its own clients move. FNV-1a, with the mixer of MurmurHash3.
 * @param {import('c1m').Connection} client @param {Upstream} upstream */
function weight({ remoteAddress = '' }, { host, port }) {
  let hash = 2166136261
  for (const char of `${remoteAddress} ${host}:${port}`) hash = Math.imul(hash ^ char.charCodeAt(0), 16777619)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}

/** @param {import('c1m').Connection} client */
async function serve(client) {
  client.pause() // the client's bytes wait for the relay
  const best = order?.(client) ?? []
  turn++
  // Servers that refused a connection in the last five seconds are tried last.
  const isDown = (/** @type {Upstream} */ { failedAt }) => performance.now() - failedAt < 5000
  for (const upstream of [...best.filter((one) => !isDown(one)), ...best.filter(isDown)]) {
    upstream.relays++
    try {
      const server = await reactor.connect({ host: upstream.host, port: upstream.port, connectTimeoutMs: 2000 })
      if (client.closed) return server.destroy()
      const { bytesFromA, bytesFromB, reason } = await relay(client, server, { idleTimeoutMs: 60_000 })
      return console.log(`${upstream.host}:${upstream.port}`, bytesFromA, 'to,', bytesFromB, 'from:', reason)
    } catch (error) {
      console.log(`${upstream.host}:${upstream.port}`, String(error))
      if (client.closed) return
      upstream.failedAt = performance.now()
    } finally {
      upstream.relays--
    }
  }
  client.reset()
}

/** @param {number} count */
async function startServers(count) {
  const listeners = Array.from({ length: count }, (_, i) =>
    reactor.listen({ host: '127.0.0.1', port: 0 }, { data: (conn, chunk) => conn.write(`server ${i}: ${chunk}`) }),
  )
  return (await Promise.all(listeners)).map(({ port }) => `127.0.0.1:${port}`)
}

const port = Number(process.env.PORT ?? 7000)
const listener = await reactor.listen({ port, allowHalfOpen: true }, { open: (client) => void serve(client) })
process.once('SIGINT', () => reactor.shutdown({ timeoutMs: 1000 }))
console.log('listening on', listener.port, 'for', targets.join(' '))
