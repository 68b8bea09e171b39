import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'tap'

const flags = process.allowedNodeEnvironmentFlags
const model = flags.has('--permission') ? '--permission' : '--experimental-permission'
const root = dirname(require.resolve('c1m/package.json'))

/** Returns the output of a program that may read the library's folder, use its addon, and do what `allowed` permits. */
async function run(program: string, ...allowed: string[]): Promise<string> {
  const addons = ['--allow-addons'].filter((flag) => flags.has(flag))
  // node-gyp-build, which finds the addon, reads the second path.
  const readable = [join(root, '*'), '/etc/alpine-release'].map((path) => `--allow-fs-read=${path}`)
  const options = [model, ...addons, ...readable, ...allowed]
  // NODE_OPTIONS is unset, because the test runner's hooks need more permissions.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, ...options, '-e', program]
  const { stdout } = await promisify(execFile)('env', command, { cwd: root })
  return stdout.trim()
}

test('sendFile() of a path needs the permission to read it', async (t) => {
  const printed = await run(
    `
    const { Reactor } = require('c1m')
    const reactor = new Reactor()
    const say = (sending) => sending.then((bytes) => bytes > 0, ({ code, resource }) => [code, resource].join())
    async function open(conn) {
      console.log(await say(conn.sendFile('/etc/passwd')))
      console.log(await say(conn.sendFile(Buffer.from('/etc/passwd'))))
      console.log(await say(conn.sendFile(${JSON.stringify(join(root, 'package.json'))})))
      await reactor.shutdown({ timeoutMs: 0 })
    }
    reactor.listen({ host: '127.0.0.1', port: 0 }, { open }).then(({ port }) => reactor.connect({ host: '127.0.0.1', port }))
    `,
    ...['--allow-net'].filter((flag) => flags.has(flag)),
  )
  t.strictSame(printed.split('\n'), ['ERR_ACCESS_DENIED,/etc/passwd', 'ERR_ACCESS_DENIED,/etc/passwd', 'true'])
})

test('listen() and connect() need the permission for the network', { skip: !flags.has('--allow-net') }, async (t) => {
  const printed = await run(
    `
    const { Reactor, ReactorPool } = require('c1m')
    const reactor = new Reactor()
    const pool = new ReactorPool({ module: ${JSON.stringify(join(root, 'examples/echo.mjs'))}, size: 1 })
    const say = (opening) => opening.then(() => console.log('open'), ({ code }) => console.log(code))
    ;(async () => {
      await say(reactor.listen({ host: '127.0.0.1', port: 0 }))
      await say(reactor.connect({ host: '127.0.0.1', port: 1 }))
      await say(pool.listen({ host: '127.0.0.1', port: 0 }))
      process.exit()
    })()
    `,
  )
  t.strictSame(printed.split('\n'), Array(3).fill('ERR_ACCESS_DENIED'))
})
