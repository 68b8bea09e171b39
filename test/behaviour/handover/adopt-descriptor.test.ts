import { spawn } from 'node:child_process'
import { test } from 'tap'
import { Child, childProgram } from '../../fixtures/child.js'
import { netServer } from '../../fixtures/handover.js'
import { until } from '../../fixtures/reactor.js'

test('an inherited descriptor is adopted, served and closed', async (t) => {
  const { accept } = await netServer(t, { pauseOnConnect: true })
  const { socket, peer } = await accept()
  const program = childProgram('adopt-descriptor')
  const started = spawn(process.execPath, [program], {
    stdio: ['pipe', 'pipe', 'pipe', socket],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  t.teardown(() => started.kill('SIGKILL'))
  const child = new Child(started)
  socket.destroy()
  t.strictSame(await child.next(), ['adopted', peer.port])
  peer.write('hello')
  await peer.untilBytes(5)
  t.equal(peer.text, 'hello')
  peer.end()
  await peer.untilClosed()
  t.strictSame(await child.next(), ['close', 'well'])
  t.strictSame(await child.untilExit(), { code: 0, signal: null }, 'nothing keeps the process alive')
  await until(() => peer.closed)
})
