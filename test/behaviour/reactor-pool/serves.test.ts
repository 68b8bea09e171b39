import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'tap'
import { connectPeer } from '../../fixtures/peer.js'
import { LINES } from '../../fixtures/pool-workers.js'
import { freePort } from '../../fixtures/port.js'
import { until } from '../../fixtures/reactor.js'
import { ask, askAround, MODES, makeReactorPool } from '../../fixtures/reactor-pool.js'
import { temporaryDirectory } from '../../fixtures/temporary.js'

const run = promisify(execFile)

for (const mode of MODES) {
  for (const placement of ['reuse-port', 'least-connections'] as const) {
    test(`${mode}, ${placement}: every worker serves`, async (t) => {
      const pool = makeReactorPool(t, { mode, size: 3 })
      const listener = await pool.listen({ ...LINES, placement, noDelay: true })
      t.match(listener.address(), { address: '127.0.0.1', family: 'IPv4', port: listener.port })
      t.equal(listener.options.noDelay, true)
      const answers = await askAround(listener.port as number, 3)
      t.strictSame(
        answers.map((answer) => answer.split(' ')[0]),
        ['0', '1', '2'],
      )
      const processes = new Set(answers.map((answer) => answer.split(' ')[1]))
      t.equal(processes.size, mode === 'processes' ? 3 : 1)
      if (mode === 'threads') t.equal(new Set(answers.map((answer) => answer.split(' ')[2])).size, 3)
    })
  }

  test(`${mode}: connections and counters are sums over all workers`, async (t) => {
    const pool = makeReactorPool(t, { mode })
    const { port } = await pool.listen({ ...LINES, placement: 'least-connections' })
    const peers = await Promise.all(Array.from({ length: 10 }, () => connectPeer(t, port as number)))
    await until(() => pool.connections === 10)
    const { connections, adopted, closed, workers, crashes, restarts } = await pool.stats()
    t.strictSame(
      { connections, adopted, closed, crashes, restarts },
      { connections: 10, adopted: 10, closed: 0, crashes: 0, restarts: 0 },
    )
    t.strictSame(
      workers.map(({ index, reactor }) => [index, reactor.connections]),
      [
        [0, 5],
        [1, 5],
      ],
      'one as many as the other',
    )
    for (const peer of peers) peer.socket.destroy()
    await until(() => pool.connections === 0)
  })

  test(`${mode}: workers serve a Unix socket`, async (t) => {
    const pool = makeReactorPool(t, { mode })
    const path = join(temporaryDirectory(t), 'socket')
    const { port: _, host: __, ...lines } = LINES
    const listener = await pool.listen({ ...lines, path })
    t.equal(listener.address(), path)
    t.equal(listener.port, undefined)
    const peer = await connectPeer(t, 0, { path } as object)
    peer.write('hello\n')
    await peer.untilBytes(6)
    t.equal(peer.text, 'hello\n')
    await listener.close()
    await t.rejects(connectPeer(t, 0, { path } as object), { code: 'ENOENT' })
  })

  test(`${mode}: a closed listener keeps its connections, and frees its port`, async (t) => {
    const pool = makeReactorPool(t, { mode })
    for (const placement of ['reuse-port', 'least-connections'] as const) {
      const port = await freePort()
      const listener = await pool.listen({ ...LINES, port, placement })
      const peer = await connectPeer(t, port)
      peer.write('one\n')
      await peer.untilBytes(4)
      await listener.close()
      t.equal(listener.closed, true)
      await t.rejects(ask(port, 'who'), { code: 'ECONNREFUSED' })
      peer.write('two\n')
      await peer.untilBytes(8)
      t.equal(peer.text, 'one\ntwo\n')
      const again = await pool.listen({ ...LINES, port })
      t.equal(again.port, port)
      await again.close()
    }
  })
}

test('workers use the framing of the listener', async (t) => {
  const { lengthPrefixed } = await import('c1m')
  const pool = makeReactorPool(t)
  const framing = lengthPrefixed({ bytes: 2, endian: 'little' })
  const { port } = await pool.listen({ host: '127.0.0.1', port: 0, handlers: 'frames', framing })
  const peer = await connectPeer(t, port as number)
  peer.write(Buffer.concat([framing.encode('a'), framing.encode('bc')]))
  await peer.untilBytes(7)
  t.equal(peer.text, '<a><bc>')
})

/** Returns the CPUs that this process may use. */
function allowedCpus(): number[] {
  const [, list = ''] = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, at) => first + at)
  })
}

/** Which workers answer a client on this CPU that connects so often; loopback receives where the client sends. */
async function askFrom(cpu: number, port: number, times: number): Promise<string[]> {
  const client = `let left = ${times}
  const ask = () => {
    const socket = require('net').connect(${port}, '127.0.0.1')
    socket.on('data', (answer) => {
      process.stdout.write(answer)
      if (--left === 0) process.exit()
      socket.destroy()
      ask()
    })
    socket.write('who\\n')
  }
  ask()`
  const { stdout } = await run('taskset', ['-c', String(cpu), process.execPath, '-e', client], {
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  return stdout
    .trim()
    .split('\n')
    .map((answer) => answer.split(' ')[0] as string)
}

test('cpu: a connection goes to the worker of the CPU that received it, also after a restart', async (t) => {
  const cpus = allowedCpus().slice(-2)
  const pool = makeReactorPool(t, { mode: 'processes', size: cpus.length, cpus })
  const port = (await pool.listen({ ...LINES, placement: 'cpu' })).port as number
  for (const restarted of [false, true]) {
    if (restarted) await pool.restart()
    const answers = await Promise.all(cpus.map((cpu) => askFrom(cpu, port, 3)))
    t.strictSame(
      answers,
      cpus.map((_, index) => Array(3).fill(String(index))),
    )
  }
})

test('listen() at a used port rejects, and so does an unknown name of handlers', async (t) => {
  const pool = makeReactorPool(t)
  const { port } = await pool.listen(LINES)
  await t.rejects(pool.listen({ ...LINES, port: port as number }), { code: 'EADDRINUSE', syscall: 'listen' })
  await t.rejects(pool.listen({ ...LINES, handlers: 'liens' }), {
    code: 'ERR_C1M_INVALID_ARG_VALUE',
    message: /'liens'/,
  })
  t.equal(await ask(port as number, 'still'), 'still')
})
