import { test } from 'tap'
import { SANITIZED } from '../../fixtures/built.js'
import { connectPeer } from '../../fixtures/peer.js'
import { makePool } from '../../fixtures/pool.js'
import { serve, TRIGGERS } from '../../fixtures/reactor.js'

const ROUNDS = SANITIZED ? 5 : 10
const ABREAST = 40

for (const trigger of TRIGGERS) {
  for (const ending of ['end()', 'end(chunk)', 'detach()'] as const) {
    test(`writes of a task are sent before a later ${ending} (${trigger})`, async (t) => {
      const pool = makePool(t, { size: 2 })
      const { port } = await serve<unknown>(
        t,
        {
          async data(conn) {
            conn.write('<')
            // The turn publishes this write, so that it is sent first.
            await new Promise(setImmediate)
            await pool.run({ kind: 'answer', value: 'answer' }, { connection: conn })
            if (ending === 'end()') conn.end()
            else if (ending === 'end(chunk)') conn.end('>')
            else (await conn.detach()).end('>')
          },
        },
        {},
        { trigger },
      )
      for (let round = 0; round < ROUNDS; round++) {
        const peers = await Promise.all(Array.from({ length: ABREAST }, () => connectPeer(t, port)))
        for (const peer of peers) peer.write('?')
        await Promise.all(peers.map((peer) => peer.untilEnded()))
        t.strictSame(new Set(peers.map(({ text }) => text)), new Set([ending === 'end()' ? '<answer' : '<answer>']))
        for (const peer of peers) peer.end()
      }
    })
  }
}
