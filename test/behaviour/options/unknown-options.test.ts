import { type Connection, type ConnectOptions, type ListenOptions, Reactor, type ReactorOptions } from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'

const expected = (message: RegExp) => ({ name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE', message })

test('unknown options are refused, with the name that may be meant', async (t) => {
  t.throws(() => new Reactor({ maxConnection: 5 } as ReactorOptions), expected(/"maxConnection".*"maxConnections"/))
  const reactor = makeReactor(t)
  const bad: readonly (readonly [object, RegExp])[] = [
    [{ portNumber: 1 }, /"options" has no "portNumber"; is "port" meant\?/],
    [{ prot: 1 }, /"options" has no "prot"; is "port" meant\?/],
    [{ port: 0, nodelay: true }, /"nodelay".*"noDelay"/],
    [{ port: 0, idleTimeout: 1000 }, /"idleTimeout".*"idleTimeoutMs"/],
    [{ port: 0, maxConnections: 3 }, /has no "maxConnections": it is an option of the Reactor$/],
    [{ port: 0, keepAlive: { idle: 3 } }, /"keepAlive" has no "idle"; is "idleMs" meant\?/],
    [{ port: 0, keepAlive: { interval: 3 } }, /"interval".*"intervalMs"/],
    [{ port: 0, signal: null }, /has no "signal"/],
  ]
  for (const [options, message] of bad) {
    await t.rejects(reactor.listen(options as ListenOptions, {}), expected(message))
  }
  const misspelt = { port: 1, localAdress: '127.0.0.1' } as ConnectOptions
  await t.rejects(reactor.connect(misspelt, {}), expected(/"localAdress".*"localAddress"/))
  await t.rejects(reactor.shutdown({ timeout: 3 } as object), expected(/"timeout".*"timeoutMs"/))
})

test('setOptions() rejects unknown options, and those of listeners', async (t) => {
  const { reactor, port } = await serve(t, {})
  await connectPeer(t, port)
  await until(() => reactor.connections.size === 1)
  const conn = [...reactor.connections.values()][0] as Connection
  for (const [options, message] of [
    [{ nodelay: true }, /"nodelay".*"noDelay"/],
    [{ port: 1 }, /has no "port"/],
    [{ keepAlive: { idle: 3 } }, /"keepAlive" has no "idle"/],
  ] as const) {
    await t.rejects(conn.setOptions(options as object), expected(message))
  }
})

test('an unknown option that is undefined is ignored, and handlers may have other methods', async (t) => {
  const reactor = makeReactor(t)
  class Chat {
    readonly members = new Set()
    data() {}
    broadcast() {}
  }
  const options = { port: 0, prot: undefined } as ListenOptions
  t.ok((await reactor.listen(options, new Chat())).port)
})
