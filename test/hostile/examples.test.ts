import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Test, t as tap, test } from 'tap'
import { packageRoot } from '../fixtures/built.js'
import { type Child, startProgram } from '../fixtures/child.js'
import { until } from '../fixtures/reactor.js'

// Each server is a process of its own.
tap.jobs = 2

// The servers of examples/ are what people copy: each is attacked unchanged, by what ended or swelled it before.

const MIB = 2 ** 20

interface Running {
  readonly child: Child
  readonly port: number
  rss(): number
  descriptors(): number
  /** Returns the CPU time in seconds, user and system. */
  cpu(): number
}

async function startExample(t: Test, name: string, args: string[] = []): Promise<Running> {
  const program = join(packageRoot, 'examples', `${name}.mjs`)
  const child = startProgram(t, program, { args, env: { PORT: '0', HTTP_PORT: '0' }, plain: true })
  await until(() => /listening on/.test(child.stdout) || child.exit !== undefined, `${name} to listen\n${child.stderr}`)
  const port = Number(/listening on (\d+)/.exec(child.stdout)?.[1])
  const proc = `/proc/${child.process.pid}`
  return {
    child,
    port,
    rss: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`${proc}/status`, 'utf8'))?.[1]) * 1024,
    descriptors: () => readdirSync(`${proc}/fd`).length,
    cpu() {
      const fields = readFileSync(`${proc}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
      return (Number(fields[11]) + Number(fields[12])) / 100
    },
  }
}

async function stop(t: Test, { child }: Running): Promise<void> {
  t.equal(child.exit, undefined, 'the server still runs')
  child.process.kill('SIGINT')
  t.strictSame(await child.untilExit(), { code: 0, signal: null }, child.stderr)
}

function open(t: Test, port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => resolve(socket))
    socket.on('error', () => resolve(socket))
    t.teardown(() => socket.destroy())
  })
}

async function pour(socket: Socket, chunk: Buffer, bytes: number, ms: number): Promise<void> {
  const end = performance.now() + ms
  for (let sent = 0; sent < bytes && performance.now() < end && !socket.destroyed; sent += chunk.length) {
    await new Promise<void>((resolve) => {
      socket.once('close', resolve)
      socket.write(chunk, () => resolve())
    })
  }
}

test('the chat survives clients that send line feeds, or a line without an end', async (t) => {
  const chat = await startExample(t, 'chat')
  const before = chat.rss()
  ;(await open(t, chat.port)).resume()
  const silent = await open(t, chat.port)
  let max = 0
  const watch = setInterval(() => {
    max = Math.max(max, chat.rss() - before)
  }, 50)
  await Promise.all([
    pour(await open(t, chat.port), Buffer.alloc(65_536, '\n'), 5_000_000, 5000),
    pour(await open(t, chat.port), Buffer.alloc(65_536, 'x'), 200_000_000, 5000),
  ])
  clearInterval(watch)
  t.ok(max < 200 * MIB, `the server grew by ${Math.round(max / MIB)} MiB`)
  silent.destroy()
  // New clients are served.
  const [one, other] = [await open(t, chat.port), await open(t, chat.port)]
  let text = ''
  other.on('data', (chunk) => {
    text += chunk
  })
  one.resume()
  await until(() => text.includes('welcome'))
  one.write('hello\n')
  await until(() => text.includes(': hello\n'))
  await stop(t, chat)
})

test('the file server survives pipelines of clients that read nothing, and reset', async (t) => {
  const files = await startExample(t, 'static-files', [packageRoot])
  const before = { rss: files.rss(), descriptors: files.descriptors() }
  const request = Buffer.from('GET /package-lock.json HTTP/1.1\r\n\r\n'.repeat(400))
  const all = await Promise.all(Array.from({ length: 50 }, () => open(t, files.port)))
  for (const socket of all) socket.write(request)
  await sleep(1000)
  t.ok(files.rss() - before.rss < 150 * MIB, `the server grew by ${Math.round((files.rss() - before.rss) / MIB)} MiB`)
  for (const socket of all) socket.resetAndDestroy()
  await until(() => files.descriptors() <= before.descriptors, 'the release of its descriptors')
  // Requests of closed connections take no CPU time.
  const cpu = files.cpu()
  await sleep(1000)
  t.ok(files.cpu() - cpu < 0.5, `${files.cpu() - cpu} s of CPU in a second`)
  await stop(t, files)
})

test('the load balancer survives 300 clients that reset at the same time', async (t) => {
  const balancer = await startExample(t, 'load-balancer')
  const before = balancer.descriptors()
  for (let round = 0; round < 3; round++) {
    const all = await Promise.all(Array.from({ length: 300 }, () => open(t, balancer.port)))
    for (const socket of all) socket.resetAndDestroy()
  }
  await until(() => balancer.descriptors() <= before + 2, 'the close of its upstream connections')
  const socket = await open(t, balancer.port)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.write('hello')
  await until(() => /server \d: hello/.test(text))
  socket.destroy()
  await stop(t, balancer)
})

test('the WebSocket server survives an upgrade whose target is not a URL', async (t) => {
  const server = await startExample(t, 'http-upgrade')
  for (const target of ['//', '/%', 'x:y', '*']) {
    const socket = await open(t, server.port)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.write(
      `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n`,
    )
    await until(() => text.startsWith('HTTP/1.1 ') || socket.destroyed)
    // An invalid frame.
    socket.write(Buffer.alloc(1000, 0xff))
    await until(() => socket.destroyed || socket.readableEnded)
  }
  await stop(t, server)
})
