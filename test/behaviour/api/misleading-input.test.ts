import { createServer } from 'node:net'
import { runInNewContext } from 'node:vm'
import {
  type ConnectOptions,
  delimited,
  type Handlers,
  type ListenOptions,
  lengthPrefixed,
  Reactor,
  WorkerPool,
  type WorkerPoolOptions,
} from 'c1m'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { makeReactor, serve, until } from '../../fixtures/reactor.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const wrongValue = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_VALUE' }
const wrongType = { name: 'TypeError', code: 'ERR_C1M_INVALID_ARG_TYPE' }

test('unknown handlers are refused with the name that is meant', async (t) => {
  const reactor = makeReactor(t)
  class Other {
    onConnection(): void {}
  }
  const bad: readonly (readonly [object, RegExp])[] = [
    [{ dta() {} }, /"handlers" has no "dta"; is "data" meant\?/],
    [{ onData() {} }, /"onData"; is "data" meant/],
    [{ on_close() {} }, /"on_close"; is "close" meant/],
    [{ data() {}, onclose() {} }, /"onclose"; is "close" meant/],
    [{ connection() {}, error() {} }, /"connection"; is "open" meant/],
    [{ data() {}, message() {} }, /"message"; is "data" meant/],
    [{ foo() {} }, /"foo"; there are open, data, drain, end, timeout, shutdown, close, error/],
    [Object.assign(Object.create(null), { oepn() {} }), /"oepn"; is "open" meant/],
    [new Other(), /"onConnection"; /],
  ]
  for (const [handlers, message] of bad) {
    const given = handlers as Handlers<undefined>
    await t.rejects(reactor.listen({ port: 0 }, given), { ...wrongValue, message })
    await t.rejects(reactor.connect({ port: 1 }, given), { ...wrongValue, message })
    await t.rejects(reactor.adopt(0, given), { ...wrongValue, message })
  }
  const withCallback = reactor.listen as (...given: unknown[]) => Promise<unknown>
  const message = /listen\(\) takes options and handlers, and returns a promise: no callback/
  await t.rejects(
    withCallback.call(reactor, { port: 0 }, { data() {} }, () => {}),
    { ...wrongValue, message },
  )
})

test('handlers may be an instance with other methods, or a literal with state', async (t) => {
  class Echo implements Handlers<undefined> {
    count = 0
    data(): void {
      this.onData()
    }
    onData(): void {
      this.count++
    }
  }
  const echo = new Echo()
  const one = await serve(t, echo)
  const peer = await connectPeer(t, one.port)
  peer.write('x')
  await until(() => echo.count === 1)
  await serve(t, { data() {}, seen: 0 } as Handlers<undefined>)
})

test('options of other libraries are refused with their equivalent', async (t) => {
  const reactor = makeReactor(t)
  const listen: readonly (readonly [object, RegExp])[] = [
    [{ port: 0, cert: 'x' }, /"cert": c1m has no TLS/],
    [{ port: 0, timeout: 1 }, /"timeout"; is "idleTimeoutMs" meant\?/],
    [{ port: 0, hostname: 'x' }, /"hostname"; is "host" meant/],
    [{ port: 0, pauseOnConnect: true }, /"pauseOnConnect": call conn.pause\(\)/],
    [
      { port: 0, framing: '\n' },
      /"framing" must be made by lengthPrefixed\(\) or delimited\(\), .*delimited\('\\n'\) meant\?/,
    ],
    [{ port: 0, abc: 1 }, /has no "abc"$/],
  ]
  for (const [options, message] of listen) await t.rejects(reactor.listen(options as ListenOptions), { message })
  const connect: readonly (readonly [object, RegExp])[] = [
    [{ port: 1, timeout: 1 }, /"timeout"; is "connectTimeoutMs" meant\?/],
    [{ port: 1, unix: '/x' }, /"unix"; is "path" meant/],
  ]
  for (const [options, message] of connect) await t.rejects(reactor.connect(options as ConnectOptions), { message })
  const asNumber = reactor.listen as unknown as (port: unknown) => Promise<unknown>
  await t.rejects(asNumber.call(reactor, 7000), { ...wrongType, message: /got 7000; is \{ port: 7000 \} meant\?/ })
  await t.rejects(asNumber.call(reactor, '/tmp/x'), { ...wrongType, message: /is \{ path \} meant\?/ })
  const third = reactor.adopt as unknown as (...given: unknown[]) => Promise<unknown>
  await t.rejects(third.call(reactor, 0, {}, Buffer.from('head')), { ...wrongType, message: /is \{ head \} meant\?/ })
  const framing = lengthPrefixed as unknown as (options: unknown) => unknown
  t.throws(() => framing('big'), { ...wrongType, message: /"options" must be an object, got 'big'/ })
  t.throws(() => new WorkerPool({ filename: new URL('http://host/task.mjs') }), {
    ...wrongValue,
    message: /"filename" must be an absolute path or a file: URL, got 'http:\/\/host\/task.mjs'/,
  })
  const pool = (options: object) => () => new WorkerPool(options as WorkerPoolOptions)
  t.throws(pool({ module: 'x' }), { ...wrongValue, message: /is "filename" meant\?/ })
  t.throws(pool({ maxThreads: 2 }), { ...wrongValue, message: /is "size" meant\?/ })
  const close = { port: 0, close() {} } as ListenOptions
  await t.rejects(reactor.listen(close), { ...wrongValue, message: /has no "close": handlers are the second argument/ })
  const reusePort = { port: 1, reusePort: true } as ConnectOptions
  await t.rejects(reactor.connect(reusePort), { ...wrongValue, message: /it is an option of listen\(\)/ })
  const signal = { aborted: false, addEventListener() {} } as unknown as AbortSignal
  await t.rejects(reactor.connect({ port: 1, signal }), { ...wrongType, message: /"signal" must be an AbortSignal/ })
})

test('properties of Object.prototype are not taken as options', async (t) => {
  const polluted = Object.prototype as Record<string, unknown>
  const names = ['idleTimeoutMs', 'reusePort', 'timeoutMs', 'start', 'bytes', 'maxFrameBytes', 'count', 'idleMs']
  t.teardown(() => {
    for (const name of names) Reflect.deleteProperty(polluted, name)
  })
  polluted.idleTimeoutMs = 'never'
  polluted.reusePort = 5
  for (const name of names.slice(2)) polluted[name] = 'x'
  const reactor = new Reactor({ maxConnections: 10 })
  const listener = await reactor.listen({ host: '127.0.0.1', port: 0, keepAlive: { intervalMs: 1000 } })
  const conn = await reactor.connect({ host: '127.0.0.1', port: listener.port as number })
  conn.setTimeouts({ idleMs: 0 })
  await conn.setOptions({ keepAlive: { intervalMs: 1000 } })
  t.ok((await conn.sendFile(__filename)) > 0)
  lengthPrefixed()
  delimited('x')
  t.equal(await reactor.rebalance(), 0)
  await reactor.connections.broadcast('x')
  const ended = reactor.shutdown()
  for (const one of reactor.connections.values()) one.destroy()
  t.match(await ended, { cut: 0 })
})

test('the error for an address in use has the message of Node', async (t) => {
  const { port } = await serve(t, {})
  const node = await new Promise<NodeJS.ErrnoException>((resolve) =>
    createServer().once('error', resolve).listen(port, '127.0.0.1'),
  )
  const own = await makeReactor(t)
    .listen({ host: '127.0.0.1', port })
    .catch((error: NodeJS.ErrnoException) => error)
  t.equal((own as Error).message, node.message)
  t.match(node.message, `listen EADDRINUSE: address already in use 127.0.0.1:${port}`)
})

test('an error of sendFile() has the path, whichever system call failed', async (t) => {
  const conns: import('c1m').Connection<undefined>[] = []
  const { port } = await serve(t, { open: (conn) => void conns.push(conn) })
  await connectPeer(t, port)
  await until(() => conns.length === 1)
  const folder = temporaryDirectory(t)
  const missing = await conns[0]?.sendFile(`${folder}/none`).catch((error: NodeJS.ErrnoException) => error)
  t.match(missing, { code: 'ENOENT', path: `${folder}/none` })
  for (const source of [folder, Buffer.from(folder), new Uint8Array(Buffer.from(folder))]) {
    const error = await conns[0]?.sendFile(source as string).catch((error: NodeJS.ErrnoException) => error)
    t.match(error, { path: folder, message: folder })
  }
})

test('bytes and errors of another realm are accepted', async (t) => {
  const got: string[] = []
  const closed: unknown[] = []
  const { reactor, port } = await serve(t, {
    data: (_conn, chunk) => void got.push(String(chunk)),
  })
  const inOtherRealm = <V>(text: string) => runInNewContext(text, { URL }) as V
  const conn = await reactor.connect(
    { host: '127.0.0.1', port },
    { close: (_conn, error) => void closed.push(error?.message) },
  )
  t.equal(conn.write(inOtherRealm<Uint8Array>('new Uint8Array([65])')), true)
  await until(() => got.join('') === 'A')
  await reactor.connections.broadcast(inOtherRealm<Uint8Array>('new Uint8Array([66])'))
  await until(() => got.join('') === 'AB')
  t.equal(conn.destroy(inOtherRealm<Error>('new Error("from another realm")')), true)
  await until(() => closed.length === 1)
  t.strictSame(closed, ['from another realm'])
  t.throws(() => conn.write(inOtherRealm<never>('[65]')), wrongType)
})
